"""How many streams one account can watch: tools against the rules, by a clock that only this script moves.

`python -m bench.watching` writes results/watching.md: the same figures on every machine, for nothing here takes time.
Each tool goes on for `WARM` segments, in which it spends its burst, and is then measured for `MEASURED`. Its line
carries `LINE` streams: where nothing else bounds it, that does.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path

from streamlimit.model import Admitted, Ask, Gone, Lease, Receipt
from streamlimit.policy import Policy
from streamlimit.store.sqlite import SqliteStore

X = 6_000
WARM, MEASURED = 30, 40
LINE = 60
DEFENCES = {"max_returns": 2, "visit_burst": 60}
OFF = {"max_returns": 0, "visit_burst": 0}
RESULT = Path(__file__).parent / "results/watching.md"


class Tool:
    """One user's tool with *seats*: asks, receives, and counts what it received once it is measured."""

    def __init__(self, store: SqliteStore, seats: int, now: Callable[[], int]) -> None:
        self.store, self.seats, self._now = store, seats, now
        self.segments, self.is_measured, self.line_left = 0, False, LINE
        self._numbers = count()

    def ask(self, session: str, stream: str, play: int = 0, replace: str | None = None) -> Lease | None:
        """The lease, where one is given."""
        lease_id = f"l{next(self._numbers)}"
        ask = Ask("ann", session, stream, lease_id=lease_id, play=play, replace=replace, limit=self.seats)
        answer = self.store.admit(ask)
        return answer.lease if isinstance(answer, Admitted) else None

    def receive(self, lease: Lease, number: int) -> None:
        """One segment."""
        self.line_left -= 1
        self.store.confirm(Receipt(lease, f"{number}.ts", number))
        self.segments += self.is_measured

    def watch(self, session: str, stream: str, number: int, **more: int) -> bool:
        """One segment, where it is issued."""
        lease = self.ask(session, stream, **more)
        if lease is not None:
            self.receive(lease, number)
        return lease is not None


Turn = Callable[[Tool, int], None]
"""What a tool does within one segment's time, of that number."""


def three_players(tool: Tool, number: int) -> None:
    """One playback URL, and three players behind one address."""
    for play in (1, 2, 3):
        tool.watch("tv", "film", number, play=play)


def twenty_at_once(tool: Tool, number: int) -> None:
    """All seats ask for twenty streams at one moment, once a segment, and receive them."""
    sessions = [f"tv-{seat}" for seat in range(tool.seats)]
    leases = [tool.ask(name, f"{name}-{stream}") for name in sessions for stream in range(20)]
    for lease in leases:
        if lease is not None:
            tool.receive(lease, number)


class Downloads:
    """Ten whole files at once on each seat: each goes on until it is cut, and is asked for again each segment."""

    def __init__(self) -> None:
        self._open: dict[str, Lease] = {}

    def __call__(self, tool: Tool, number: int) -> None:
        for seat in range(tool.seats):
            for stream in (f"{seat}-{each}" for each in range(10)):
                lease = None if stream in self._open else tool.ask(f"tv-{seat}", stream)
                if lease is not None:
                    self._open[stream] = lease
        for stream, lease in list(self._open.items()):
            if isinstance(tool.store.prolong(lease), Gone):
                del self._open[stream]
            else:
                tool.receive(lease, number)


class Rotation:
    """Streams in turn, *segments* of each visit as fast as the line takes them."""

    def __init__(self, segments: int, way: str) -> None:
        self._segments, self._way, self._visit = segments, way, 0

    def __call__(self, tool: Tool, number: int) -> None:
        while tool.line_left >= self._segments and self._visited(tool):
            self._visit += 1

    def _visited(self, tool: Tool) -> bool:
        session, stream = self._where(tool.seats)
        before = f"tv-{self._visit - tool.seats}" if self._way == "replace" else None
        lease = tool.ask(session, stream, replace=before)
        for number in range(self._segments):
            lease = lease if number == 0 else tool.ask(session, stream)
            if lease is None:
                return False
            tool.receive(lease, number)
        if self._way == "end":
            tool.store.end("ann", session)
        return True

    def _where(self, seats: int) -> tuple[str, str]:
        is_fresh = self._way in ("end", "replace")
        return f"tv-{self._visit if is_fresh else self._visit % seats}", f"film-{self._visit % 30}"


def rows() -> list[tuple[str, Callable[[], Turn], Iterable[int]]]:
    """What is tried, what does it, and with how many seats."""
    both = (1, 3)
    return [
        ("one playback URL, three players behind one address", lambda: three_players, (1,)),
        ("twenty streams at one moment on each seat, once a segment", lambda: twenty_at_once, both),
        ("ten whole files at once on each seat, each until it is cut", Downloads, both),
        ("thirty streams in turn, three segments each", lambda: Rotation(3, "move"), both),
        ("start, three segments, end; start the next", lambda: Rotation(3, "end"), both),
        ("start with `replace`, three segments; the next", lambda: Rotation(3, "replace"), both),
        ("the same with one segment a visit", lambda: Rotation(1, "replace"), both),
        ("the same with six segments a visit", lambda: Rotation(6, "replace"), both),
    ]


def reached(turn: Turn, seats: int, defences: Mapping[str, int], warm: int, measured: int) -> float:
    """Segments received in a segment's time: so many streams play at full pace."""
    now_ms = 1_750_000_000_000
    policy = Policy(segment_ms=X, start_ms=X, **defences)
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(f"{folder}/s.db", policy, clock=lambda: now_ms)
        try:
            tool = Tool(store, seats, lambda: now_ms)
            for number in range(warm + measured):
                tool.is_measured, tool.line_left = number >= warm, LINE
                turn(tool, number)
                now_ms += X
        finally:
            store.close()
    return tool.segments / measured


def line(what: str, made: Callable[[], Turn], seats: int) -> str:
    """A row of the table."""
    before = reached(made(), seats, OFF, 1, 10)  # without a burst to spend it is the same all the time
    streams = reached(made(), seats, DEFENCES, WARM, MEASURED)
    return f"| {what} | {seats} | {before:.1f} | {streams:.1f} | {streams / seats:.1f} |"


def table() -> str:
    """As Markdown."""
    lines = [line(what, made, seats) for what, made, all_seats in rows() for seats in all_seats]
    head = "| what is tried | seats | defences off | streams at full pace | a seat |", "|---|---|---|---|---|"
    return "\n".join([*head, *lines]) + "\n"


HEAD = f"""# How many streams one account can watch, once its burst is spent

`python -m bench.watching`: the rules with `segment_seconds` {X // 1_000}, `visit_burst` 60 and other settings at their
defaults, by a clock that the script moves; {WARM} segments to spend the burst, then {MEASURED} measured.
"Defences off": the same with `max_returns` and `visit_burst` 0. The tool's line carries {LINE} streams.
The same on every machine.

"""


if __name__ == "__main__":
    RESULT.write_text(HEAD + table())
