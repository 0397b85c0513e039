"""Decisions a second on one core, and the cost of one, beside a constant answer and common self-made services.

Sitting: a heartbeat of one of 1,000 sessions that sit: validated, decided, confirmed. New: a heartbeat of a session
never seen: a seat reserved and confirmed. Refused first: of a session never seen, where all seats are taken. Refused
from memory: of sessions that ask again and again.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from random import randrange
from typing import Any

from bench.kinds import Asked, seats_taken
from bench.load import load
from bench.names import FLOORS
from bench.noise import SPARE, Rows, agreeing
from bench.paced import paced
from bench.programs import Program, Store, is_here, valkey, valkey_cluster
from bench.race import answered, users_over
from bench.rows import Subject, chosen
from bench.surviving import attempt


def measure(rounds: int = 3, seconds: int = 2, only: Sequence[str] = ()) -> dict[str, Any]:
    """All rows in *rounds* rounds, and more where the machine was too noisy; or some by their names, without more."""
    subjects = chosen(only)
    missing = {subject.name: _missing(subject) for subject in subjects}
    here = [subject for subject in subjects if not missing[subject.name]]
    kept, noise = agreeing(partial(_round, here, seconds), FLOORS, rounds, 0 if only else SPARE)
    left_out = {name: f"no {', '.join(needed)} here" for name, needed in missing.items() if needed}
    return {"rounds": rounds, "seconds": seconds, "rows": joined(kept), "left out": left_out, "noise": noise}


def _round(subjects: Sequence[Subject], seconds: int, number: int) -> Rows:
    """Each row once, one after the other, so that a slow moment hits all alike."""
    rows: Rows = {subject.row(kind): {"loads": [], "half": []} for subject in subjects for kind in subject.asks}
    with _stores() as stores:
        for subject in subjects:
            print(f"round {number}: {subject.name}", file=sys.stderr, flush=True)
            problem = attempt(partial(_once, subject, rows, stores, seconds))
            if problem is not None:  # one broken subject does not spoil the others; it is named in the report
                for kind in subject.asks:
                    rows[subject.row(kind)]["problem"] = problem
    return rows


def joined(rounds: Sequence[Rows]) -> Rows:
    """The rounds as one: of each row all loads, and the worst race."""
    rows: Rows = {}
    for each in rounds:
        for name, found in each.items():
            row = rows.setdefault(name, {"loads": [], "half": []})
            over = [some["over"] for some in (row, found) if "over" in some]
            row |= found | {what: row[what] + found[what] for what in ("loads", "half")}
            if over:
                row["over"] = max(over)
    return rows


def _missing(subject: Subject) -> list[str]:
    return [name for name in subject.needs if not is_here(name)]


class Stores:
    """Started when a subject needs one. The cluster is for all of a round: it takes seconds to come together."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._cluster: Store | None = None

    @contextmanager
    def opened(self, subject: Subject) -> Iterator[Store]:
        """The subject's store; an empty one where it needs none."""
        if subject.store == "cluster":
            self._cluster = self._cluster or self._stack.enter_context(valkey_cluster())
            yield self._cluster
        elif subject.store == "one":
            with valkey() as server:
                yield Store(f"redis://127.0.0.1:{server.port}/0", (server.process.pid,))
        else:
            yield Store()


@contextmanager
def _stores() -> Iterator[Stores]:
    with ExitStack() as stack:
        yield Stores(stack)


def _once(subject: Subject, rows: Rows, stores: Stores, seconds: int) -> None:
    """One round of a subject: its kinds one after another, in one process."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        stores.opened(subject) as store,
        subject.start(Path(folder), store.url) as server,
    ):
        if subject.call is not None and any(asked.refuses for asked in subject.asks.values()):
            answered(server.port, seats_taken(subject.call), 200)
        for kind, asked in subject.asks.items():
            row = rows[subject.row(kind)]
            load(server, asked.lua, seconds=1)  # warm, and seated
            measured = load(server, asked.lua, seconds, store=store, refuses=asked.refuses)
            row["loads"].append(asdict(measured))
            if kind in subject.at_half:
                row["half"].append(_at_half(asked, server, measured.per_second, seconds))
        first = rows[subject.row(next(iter(subject.asks)))]
        if subject.call is not None:
            first["over"] = users_over(server.port, subject.call.raw)


def _at_half(asked: Asked, server: Program, rate: float, seconds: int) -> dict[str, float]:
    assert asked.raw is not None
    salt, count = randrange(10**9), round(rate / 2 * seconds * 1.2)  # by chance a few more than half may be asked
    requests = [asked.raw(salt, number) for number in range(count)]
    return asdict(paced(server.port, rate / 2, seconds, requests, "4" if asked.refuses else "2"))
