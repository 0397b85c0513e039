"""How many decisions a second on one core, beside a constant answer and what people write today?

Sitting: a heartbeat of one of 1,000 sessions that sit: validated, decided, confirmed. New: a heartbeat of a session
never seen: a seat reserved and confirmed.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.load import load
from bench.paced import paced
from bench.programs import Program, is_here, valkey, valkey_cluster
from bench.race import users_over
from bench.rows import ROWS, Row
from bench.surviving import attempt

SITTERS = 1_000


def measure(rounds: int = 3, seconds: int = 3, only: str = "") -> dict[str, Any]:
    """Each row (with *only* in its name) *rounds* times, interleaved, so that a slow moment hits all alike."""
    rows = [row for row in ROWS if only in row.name]
    here = [row for row in rows if row.program is None or is_here(row.program)]
    found: dict[str, Any] = {row.name: {"loads": [], "half": []} for row in here}
    for number in range(rounds):
        with _stores() as stores:
            for row in here:
                print(f"round {number + 1}: {row.name}", file=sys.stderr, flush=True)
                _survive(row, found[row.name], stores, seconds)
    left_out = {row.name: f"no {row.program} here" for row in rows if row not in here}
    return {"rounds": rounds, "seconds": seconds, "rows": found, "left out": left_out}


class Stores:
    """Started when a row needs one. The cluster is for all rows of a round: it takes seconds to come together."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack, self._cluster = stack, ""

    @contextmanager
    def opened(self, row: Row) -> Iterator[str]:
        """The URL of the row's store; empty where it needs none."""
        if row.store == "cluster":
            self._cluster = self._cluster or self._stack.enter_context(valkey_cluster())
            yield self._cluster
        elif row.store == "one":
            with valkey() as server:
                yield f"redis://127.0.0.1:{server.port}/0"
        else:
            yield ""


@contextmanager
def _stores() -> Iterator[Stores]:
    with ExitStack() as stack:
        yield Stores(stack)


def _survive(row: Row, found: dict[str, Any], stores: Stores, seconds: int) -> None:
    """One broken row does not spoil the others; it is named in the report."""
    problem = attempt(lambda: _once(row, found, stores, seconds))
    if problem is not None:
        found["problem"] = problem


def _once(row: Row, found: dict[str, Any], stores: Stores, seconds: int) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        stores.opened(row) as store,
        row.start(Path(folder), store) as server,
    ):
        load(server, row.asked.lua, seconds=1)  # warm, and seated
        measured = load(server, row.asked.lua, seconds=seconds)
        found["loads"].append(asdict(measured))
        if row.at_half:
            found["half"].append(_at_half(row, server, measured.per_second, seconds))
        if row.asked.raw is not None and "over" not in found:
            found["over"] = users_over(server.port, row.asked.raw)


def _at_half(row: Row, server: Program, rate: float, seconds: int) -> dict[str, float]:
    assert row.asked.raw is not None
    requests = [row.asked.raw(f"u{number}", "s1") for number in range(SITTERS)]
    return asdict(paced(server.port, rate / 2, seconds, requests))
