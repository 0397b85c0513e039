"""The result of a run as tables and JSON, with a sentence on whether the limit was kept."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from streamlimit.bench.figures import Figures, percentiles_ms
from streamlimit.bench.proof import Breach
from streamlimit.bench.run import Plan, Result, Tick

DOINGS = (
    "came in",
    "came back",
    "zapped",
    "hung up",
    "left",
    "fell silent",
    "refused at the limit",
    "tried again",
    "refused while sitting",
    "refused without saying who sits",
)
LATE_MS = 50.0
"""Delay of requests from which on the measured times are partly this program's own."""

BREACHES_SHOWN = 10
PIPE_WIDTH = 200


def sentence(result: Result) -> str:
    """The verdict as a sentence."""
    verdict, figures = result.verdict, result.figures
    if figures.let_through:
        return (
            "not checked: the service is in a dry run (enforce = false) and let in whom it would refuse, "
            f"{figures.let_through:,} times"
        )
    if verdict.kept is None:
        return "not checked: the service issued nothing"
    if verdict.breaches:
        return "LIMIT BROKEN: " + "; ".join(map(_in_words, verdict.breaches[:BREACHES_SHOWN]))
    most = f"at most {verdict.most} of {verdict.limit} at once"
    return f"limit kept: {most} ({verdict.looks:,} looks, {verdict.receipts:,} receipts)"


def exit_code(result: Result) -> int:
    """The exit code: 0, the limit was kept; 1, it was not, or is not known."""
    return 0 if result.verdict.kept and not result.figures.let_through else 1


def notes(result: Result) -> list[str]:
    """Notes for readers of the figures."""
    found, figures = [], result.figures
    late = percentiles_ms(figures.late).get("p99_ms", 0.0)
    if late > LATE_MS:
        found.append(
            f"this machine fell behind: 1 % of requests went out {late:,.0f} ms late or more; so are the times"
        )
    if figures.degraded:
        found.append(
            f"{figures.degraded:,} answers were given while the service's store was unavailable; they prove nothing"
        )
    if result.left:
        found.append(f"{result.left:,} sessions did not end; they expire within {result.stage.lifetime:g} s")
    return found


def document(result: Result) -> dict[str, Any]:
    """The result as JSON, for --json."""
    plan, stage, figures, verdict = result.plan, result.stage, result.figures, result.verdict
    return {
        "url": plan.url,
        "seed": plan.seed,
        "users": plan.users,
        "screens": result.screens,
        "seconds": round(result.seconds, 3),
        "pace_seconds": round(stage.pace / plan.speed, 3),
        "lifetime_seconds": stage.lifetime,
        "requests": figures.requests,
        "requests_per_second": round(figures.requests / result.seconds, 1),
        "bytes": figures.bytes,
        "calls": {kind: _call(result, kind) for kind in sorted(figures.calls)},
        "answers": dict(sorted(figures.answers.items())),
        "viewers": {what.replace(" ", "_"): figures.doings[what] for what in DOINGS},
        "late": percentiles_ms(figures.late),
        "degraded": figures.degraded,
        "let_through": figures.let_through,
        "left": result.left,
        "limit": verdict.limit,
        "limit_kept": exit_code(result) == 0,
        "most_at_once": verdict.most,
        "looks": verdict.looks,
        "receipts": verdict.receipts,
        "broken": [_breach(breach) for breach in verdict.breaches],
        "verdict": sentence(result),
        "notes": notes(result),
    }


@contextmanager
def progress(plan: Plan) -> Iterator[Tick]:
    """Shows a progress bar on standard error during the run."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[progress]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("watching", total=plan.seconds, progress="")

        def tick(elapsed: float, figures: Figures) -> None:
            progress = f"{figures.requests:,} requests, {figures.doings['refused at the limit']:,} screens refused"
            bar.update(task, completed=elapsed, progress=progress)

        yield tick


def print_result(result: Result) -> None:
    """Prints tables, notes, and the verdict."""
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    plan, stage, figures = result.plan, result.stage, result.figures
    console.print(
        f"{plan.users:,} users with {result.screens:,} screens for {result.seconds:.1f} s, a segment each "
        f"{stage.pace / plan.speed:.3g} s (seed {plan.seed})",
        highlight=False,
    )
    console.print(_calls_table(result))
    console.print(_counts_table("answers", figures.answers))
    console.print(_counts_table("viewers", {what: figures.doings[what] for what in DOINGS}))
    console.print(f"{figures.bytes:,} bytes", highlight=False)
    for note in notes(result):
        console.print(Text(f"note: {note}"), soft_wrap=True)
    console.print(Text(sentence(result), "bold green" if exit_code(result) == 0 else "bold red"), soft_wrap=True)


def _calls_table(result: Result) -> Table:
    table = Table("call", box=None)
    for name in ("requests", "per s", "p50 ms", "p99 ms", "p99.9 ms", "max ms"):
        table.add_column(name, justify="right")
    for kind in sorted(result.figures.calls):
        call = _call(result, kind)
        times = [call.get(name) for name in ("p50_ms", "p99_ms", "p999_ms", "max_ms")]
        cells = ["–" if time is None else f"{time:,.1f}" for time in times]
        table.add_row(kind, f"{call['requests']:,}", f"{call['requests_per_second']:,.1f}", *cells)
    return table


def _counts_table(name: str, counts: Any) -> Table:
    table = Table(name, box=None)
    table.add_column("", justify="right")
    for what, count in sorted(counts.items()) if name == "answers" else counts.items():
        table.add_row(Text(_printable(what)), f"{count:,}")
    return table


def _call(result: Result, kind: str) -> dict[str, Any]:
    figures, count = result.figures, result.figures.calls[kind]
    per_second = round(count / result.seconds, 1)
    return {"requests": count, "requests_per_second": per_second} | percentiles_ms(figures.took.get(kind, ()))


def _breach(breach: Breach) -> dict[str, Any]:
    sessions = list(breach.sessions)
    return {"user_id": breach.user_id, "at_once": breach.count, "sessions": sessions, "seen": breach.seen}


def _in_words(breach: Breach) -> str:
    how = "in its own list" if breach.seen == "listed" else "by what was delivered"
    sessions = ", ".join(map(_printable, breach.sessions))
    return f"user {breach.user_id} had {breach.count} of {breach.limit} at once {how} ({sessions})"


def _printable(text: str) -> str:
    """Text of the service without control characters, for a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:200])
