"""What bench.edges found, as Markdown: CPU a segment, ratios to bare nginx of the same round, aims met and missed."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple, Protocol

from bench.load import Load
from bench.paced import Paced
from bench.tables import table

Found = tuple[Load, float, float]
"""One measurement; CPU of nginx and of whom it asks, µs a segment."""

SCRIPTS, KEPT, PEER = ("Lua", "njs"), "auth_request, kept", "peer: Lua and one Redis script a request"
UNTOLD = "auth_request, kept, no log"
AIMS = (
    ("bytes a CPU second, fastest recipe", {"1 MB": 0.97, "100 KB": 0.88, "2 KB": 0.6}),
    ("bytes a CPU second, auth_request kept", {"1 MB": 0.95, "100 KB": 0.8}),
)
TAIL_MS, DECISION = 0.5, 0.35


class Measured(Protocol):
    """A row."""

    name: str
    beside: str
    loads: dict[str, list[Found]]
    tails: list[Paced]


class How(NamedTuple):
    """How it was measured. *queue*: datagrams that a Unix socket's queue held."""

    rounds: int
    seconds: int
    elapsed: float
    queue: int


def parts(rows: Sequence[Measured], sizes: Sequence[str], how: How) -> list[str]:
    """All of the report below its head."""
    found = {row.name: row for row in rows}
    floor = FLOOR.format(**{size.replace(" ", "_"): _floor(found, size) for size in sizes})
    return [HEAD.format(**how._asdict()), *figures(rows, sizes), "## Aims", _aims(found, sizes), floor + NOTES]


def figures(rows: Sequence[Measured], sizes: Sequence[str]) -> list[str]:
    """The tables of what was measured, without a verdict."""
    found = {row.name: row for row in rows}
    told = [part for size in sizes for part in (f"## {size}", _sizes(found, rows, size))]
    return [*told, "## p99 of 2 KB at the same, moderate rate", _tails(rows)]


def _floor(found: dict[str, Measured], size: str) -> str:
    """Of a kept auth_request: nginx's time for the question and the line, beyond bare nginx, and the line's reading."""
    bare, untold, kept = (found[name].loads[size] for name in (found[KEPT].beside, UNTOLD, KEPT))
    asks = median(own[1] - before[1] for before, own in zip(bare, untold, strict=True))
    writes = median(own[1] - before[1] for before, own in zip(untold, kept, strict=True))
    reads = median(own[2] - before[2] for before, own in zip(untold, kept, strict=True))
    return f"{asks:.1f} + {writes:.1f} + {reads:.1f} µs"


HEAD = """\
`python -m bench.edges`: {rounds} rounds of {seconds} s a row and size, interleaved ({elapsed:.0f} s in all).
nginx has one worker and one core; wrk (32 connections), streamlimit and Redis share the other. Where latencies are
measured the driver goes before those, so that their work delays only who waits for it. A Unix socket's queue holds
{queue} datagrams (systemd: 512): what does not fit nginx drops, and nobody pays for. CPU is user and system
time of nginx, and of whom it asks, divided by the segments handed out. `× bare` is how many bytes a CPU second of all
of them that is, beside bare nginx of the same build in the same round: the median of the rounds, and their range."""

FLOOR = """\
- A kept `auth_request` costs, beyond bare nginx, a look at the kept yes + a line of the log written + the line read:
  {2_KB} for 2 KB, {100_KB} for 100 KB, {1_MB} for 1 MB (differences of rows of this run). The look is nginx's own
  cached subrequest (a second request inside, a lookup in shared memory, a file's head read again and parsed); the
  recipe's `open_file_cache` leaves out a third of it, and nothing else that nginx can be told does. The line is a
  format of seven variables and a system call that wakes its reader; the reader's part is a system call and a regular
  expression. 0.8 of 100 KB leaves 5 µs for all three where bare nginx needs 20, which is the look alone. By
  `limit_req_dry_run` nginx could write fewer lines; but it would write the first of each moment, and what says where a
  session is, and that a visit was watched to its end, is the last.
- 100 sessions ask once each 3 s: at 2,000 segments a second that is each 60th, so a recipe whose viewers wait for the
  answer has it in its p99. The scripts ask ahead; `auth_request` cannot: nginx would go on with a yes that is stale.
"""
NOTES = """\
- What a recipe costs the service is mostly not a matter of segments: 100 sessions ask 33 times a second (a yes is kept
  for 3 s, `edge_cache_seconds` of X = 6), and the scripts tell of them as often, whatever nginx hands out. So the
  fewer segments a second a busy machine manages, the more of that falls on each: beside other programs the aims for
  100 KB and 1 MB cannot be judged.
- For each segment itself the Lua recipe adds some 2.5 µs of nginx (two handlers, a look into a table, a note in
  another), found by leaving its parts out one by one: as much as 0.97 of 1 MB leaves where bare nginx needs 100 µs.
- A player that fetches one segment each X asks, and is told of, nearly each time: the row of more sessions goes that
  way. Set `edge_cache_seconds` above X where it matters.
- `auth_request` and `accel` tell by access log: a datagram a segment. Of those of one session and rendition the newest
  is counted each X/8, at most each 3 s; without `edge_log` it is nothing, and then the next question tells.
- `sndbuf=128k` stands in every recipe, so that an aborted segment of more than 256 KB (Linux doubles it) is seen. What
  it costs bare nginx is its own row; a larger bound sees less, and costs less.
- A question is some 350 Python calls, a report some 250 and a row in SQLite. njs makes a new context for each request
  that it is asked of."""


def _total(each: Found) -> float:
    return each[1] + each[2]


def ratios(found: dict[str, Measured], name: str, size: str) -> list[float]:
    """Bytes a CPU second, beside the bare nginx of the same build, round by round."""
    row = found[name]
    pairs = zip(found[row.beside].loads[size], row.loads[size], strict=True)
    return [_total(bare) / _total(own) for bare, own in pairs]


def _sizes(found: dict[str, Measured], rows: Sequence[Measured], size: str) -> str:
    lines = []
    for row in rows:
        own, beside = row.loads[size], ratios(found, row.name, size)
        lines.append(
            [
                row.name,
                f"**{median(beside):.2f}**",
                f"{min(beside):.2f}–{max(beside):.2f}",
                f"{median(each[1] for each in own):.1f}",
                f"{median(each[2] for each in own):.1f}",
                f"{median(each[0].per_second for each in own):,.0f}",
                str(sum(each[0].errors for each in own)),
            ]
        )
    heads = ["recipe", "× bare", "range", "CPU µs nginx", "CPU µs asked", "segments a second", "errors"]
    return table(heads, lines)


def _tails(rows: Sequence[Measured]) -> str:
    lines = []
    for row in rows:
        if row.tails:
            asked, late = row.tails[0].asked, median(tail.late_p99_ms for tail in row.tails)
            middle = [f"{median(getattr(tail, name) for tail in row.tails):.2f}" for name in ("p50_ms", "p99_ms")]
            lines.append([row.name, f"{asked:,.0f}", *middle, f"{_added(rows, row):+.2f}", f"{late:.2f}"])
    return table(["recipe", "a second", "p50 ms", "p99 ms", "added to bare's p99", "the driver's own p99 ms"], lines)


def _added(rows: Sequence[Measured], row: Measured) -> float:
    bare = next(each for each in rows if each.name == row.beside)
    pairs = zip(bare.tails, row.tails, strict=True)
    return median(own.p99_ms - before.p99_ms for before, own in pairs)


def _aims(found: dict[str, Measured], sizes: Sequence[str]) -> str:
    lines = []
    for (what, aims), names in zip(AIMS, ((KEPT, "accel", *SCRIPTS), (KEPT,)), strict=True):
        for size, aim in aims.items():
            best = max(names, key=lambda name: median(ratios(found, name, size)))
            lines.append(_line(f"{size}: {what}", f"≥ {aim:g}", median(ratios(found, best, size)), aim, best))
    rows = list(found.values())
    fastest = min((*SCRIPTS, KEPT), key=lambda name: _added(rows, found[name]))
    lines.append(_tail(rows, found[fastest]))
    for name in SCRIPTS:
        lines.append(
            _line(
                "a decision in nginx's memory, of the peer's", f"≤ {DECISION:g}", -_share(found, name), -DECISION, name
            )
        )
    return table(["aim", "wanted", "found", "by", ""], lines)


def _share(found: dict[str, Measured], name: str) -> float:
    """CPU added to bare nginx for 2 KB, of what the peer adds."""

    def added(of: str) -> float:
        row = found[of]
        pairs = zip(found[row.beside].loads["2 KB"], row.loads["2 KB"], strict=True)
        return median(_total(own) - _total(bare) for bare, own in pairs)

    return added(name) / added(PEER)


def _tail(rows: Sequence[Measured], row: Measured) -> list[str]:
    """The aim for the tail. Not judged where the driver's own requests were later than that."""
    bare = next(each for each in rows if each.name == row.beside)
    noise = max(median(tail.late_p99_ms for tail in each.tails) for each in (bare, row))
    added = _added(rows, row)
    verdict = (
        "not judged: the driver itself was late" if noise > TAIL_MS else "met" if added <= TAIL_MS else "**missed**"
    )
    return ["p99 added", f"≤ {TAIL_MS:g} ms", f"{added:+.2f}", row.name, verdict]


def _line(what: str, wanted: str, value: float, aim: float, by: str) -> list[str]:
    return [what, wanted, f"{abs(value):.2f}", by, "met" if value >= aim else "**missed**"]
