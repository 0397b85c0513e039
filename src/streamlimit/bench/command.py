"""The command `streamlimit bench URL`: progress on standard error, the result on standard output."""

import asyncio
import json
import random
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

if TYPE_CHECKING:
    from streamlimit.bench.run import Plan


def bench(
    url: Annotated[str, typer.Argument(metavar="URL", help="of the service, such as http://127.0.0.1:8080")],
    users: Annotated[int, typer.Option(min=1, max=100_000, help="users, each with one to limit + 1 screens")] = 20,
    seconds: Annotated[float, typer.Option(min=1, help="how long")] = 30,
    speed: Annotated[float, typer.Option(min=1, max=1_000, help="how many times faster than they would watch")] = 1,
    key: Annotated[
        str | None, typer.Option(help="service or operator key", envvar="BENCH_KEY", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="of what viewers do: the same again; default: another")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the result as one JSON object")] = False,
) -> None:
    """Let realistic viewers watch a running service, time its answers, and check its limit from outside.

    Viewers take a segment (or send a heartbeat) each X, hang up, zap,
    leave, fall silent and come back. Some users have one screen more than
    seats, and all come in at the same moment: one must be refused.

    Meanwhile it is checked, by the service's own lists and by what was
    delivered, that no user ever has more sessions at once than its limit.
    The users are made up (bench-…). All their sessions are ended at the
    end, also on Ctrl-C.

    Exit code 0: the limit was kept. 1: it was not, or nothing was issued.
    2: a wrong argument, or no service there.

    For example, beside `streamlimit demo`:

        streamlimit bench http://127.0.0.1:8080 --seconds 10
    """
    from streamlimit.bench.run import Plan  # an HTTP client is for those who measure

    if seed is None:
        seed = random.randrange(1_000_000)
    _measure(Plan(_checked(url), users, seconds, speed, seed, key), as_json)


def _measure(plan: "Plan", as_json: bool) -> None:
    from streamlimit.bench import show
    from streamlimit.bench.run import run
    from streamlimit.bench.stage import NotReady

    try:
        with show.progress(plan) as tick, asyncio.Runner(loop_factory=_loop()) as runner:
            result = runner.run(run(plan, tick))
    except NotReady as problem:
        print(f"streamlimit: {plan.url} {problem}", file=sys.stderr)
        raise typer.Exit(2) from problem
    if as_json:
        print(json.dumps(show.document(result)))
    else:
        show.print_result(result)
    raise typer.Exit(show.exit_code(result))


def _checked(url: str) -> str:
    """*url*, if it is valid; else exit code 2."""
    try:
        parts = urlsplit(url)
        is_wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        is_wrong = True
    if is_wrong:
        raise typer.BadParameter("give it as http://host:port", param_hint="URL")
    if parts.username is not None or parts.query or parts.fragment:
        raise typer.BadParameter("give no credential, query or fragment in it; a key goes to --key", param_hint="URL")
    return url


def _loop() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    return uvloop.new_event_loop
