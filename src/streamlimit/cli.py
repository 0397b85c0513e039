"""The `streamlimit` command: each subcommand takes the settings as flags, too."""

import asyncio
import inspect
import json
import secrets
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from importlib.resources import files
from typing import Annotated, Any, get_origin

import msgspec
import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamlimit import __version__
from streamlimit.bench.command import bench
from streamlimit.bootstrap import check_store, open_catalog, open_endpoints, open_limiter, open_outbox
from streamlimit.errors import SettingsError, StreamlimitError
from streamlimit.limiter import Limiter
from streamlimit.logs import configure_logs
from streamlimit.model import Device, Session
from streamlimit.settings import Settings, key_hash, load_settings, unknown_variables
from streamlimit.store.contract import DeadLetter, Outbox, resolved
from streamlimit.sweeper import expire_once
from streamlimit.web.render import rfc3339, session_json

app = typer.Typer(
    help="Keeps a subscriber from watching more streams at once than the plan allows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

IN_JSON = {n for n, f in Settings.model_fields.items() if n == "jwt" or get_origin(f.annotation) in (list, dict)}
"""Settings that a flag gives as JSON."""

keys_app = typer.Typer(help="Keys of operators and back ends.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")


class KeyRole(StrEnum):
    """What a key opens."""

    OPERATE = "operate"
    READ = "read"
    SERVICE = "service"


KEY_SETTINGS = {
    KeyRole.OPERATE: "operator_keys",
    KeyRole.READ: "operator_read_keys",
    KeyRole.SERVICE: "service_keys",
}

DEMO = {"segment_seconds": 2, "max_sessions": 3, "auth": "open"}


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives *command* one flag per setting; it is called with the loaded `settings` in their place."""

    @wraps(command)
    def run(**given: Any) -> None:
        flags = {name: _parsed(name, given.pop(name)) for name in Settings.model_fields}
        command(load_settings(**flags), **given)

    own = [p for p in inspect.signature(command).parameters.values() if p.name != "settings"]
    run.__signature__ = inspect.Signature(own + [_flag(name) for name in Settings.model_fields])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in run.__signature__.parameters.values()}  # type: ignore[attr-defined]
    return run


def _flag(name: str) -> inspect.Parameter:
    option = typer.Option(
        "--" + name.replace("_", "-"),
        help=Settings.model_fields[name].description,
        rich_help_panel="Settings (before STREAMLIMIT_… variables and streamlimit.toml)",
        show_default=False,
    )
    kind = Annotated[str | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _parsed(name: str, text: str | None) -> Any:
    if text is None or name not in IN_JSON:
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise SettingsError(name, "a list or a table is given as JSON") from error


@app.command()
@with_settings
def serve(settings: Settings) -> None:
    """Serve streams (or only the ledger) to viewers, under the limit."""
    _serve(settings)


@app.command()
@with_settings
def demo(settings: Settings) -> None:
    """Serve four sample streams on this machine and a page to watch them: the fourth is refused."""
    given = settings.model_fields_set
    changes = {name: value for name, value in DEMO.items() if name not in given}
    if "streams" not in given:
        changes["streams"] = str(files("streamlimit").joinpath("samples"))
    _serve(settings.model_copy(update=changes), "/watch")


@app.command()
@with_settings
def expire(
    settings: Settings,
    max_seconds: Annotated[float | None, typer.Option(help="stop after so long; exit code 3: more is due")] = None,
) -> None:
    """Expire idle sessions once (Endpoint 2's work), for cron."""

    async def work(limiter: Limiter) -> None:
        sweep = await expire_once(limiter, max_seconds)
        pending = await resolved(limiter.store.pending())
        print(f"expired {sweep.expired}, abandoned {sweep.abandoned}, call backs pending {pending}")
        if not sweep.finished:
            raise SystemExit(3)

    _with_limiter(settings, work)


@app.command()
@with_settings
def sessions(
    settings: Settings,
    user: Annotated[str | None, typer.Argument(help="only this user's")] = None,
    end: Annotated[str | None, typer.Option(help="terminate this session of USER")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:
    """Show who is watching, or end a session."""
    if end is not None and user is None:
        raise SettingsError("--end", "name the user whose session it is")

    async def work(limiter: Limiter) -> None:
        if end is not None and user is not None:
            told = await resolved(limiter.terminate(user, end, "operator", "ended from the command line"))
            was_there = any(event.type == "session.terminated" for event in told)  # else others that ran out
            print(f"terminated {end}" if was_there else f"{user} has no session {end}")
            return
        await _print_sessions(limiter, user, as_json)

    _with_limiter(settings, work)


@app.command()
@with_settings
def callbacks(
    settings: Settings,
    replay: Annotated[bool, typer.Option("--replay", help="send dead letters again, enable endpoints")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line and endpoint")] = False,
) -> None:
    """Show what waits for its call back, what failed for good, and endpoints that want no more."""

    async def work() -> None:
        outbox = open_outbox(settings)
        try:
            replayed = await _replay(outbox) if replay else {}
            await _print_callbacks(outbox, replayed, as_json)
        finally:
            await resolved(outbox.close())

    asyncio.run(work())


@app.command()
@with_settings
def streams(settings: Settings) -> None:
    """List the streams that would be served, and what is wrong with others."""
    catalog = open_catalog(settings)
    if catalog is None:
        raise SettingsError("streams", "no folder is set")
    table = Table("stream", "title", "segments", "seconds", "live", "entry", box=None)
    for stream in catalog.streams():
        row = (stream.stream_id, stream.title, str(stream.segments), f"{stream.segment_seconds:g}")
        table.add_row(*map(_shown, row), "yes" if stream.live else "no", _shown(stream.entry))
    _print_table(table)
    for stream_id, problem in catalog.problems.items():
        print(f"{stream_id}: {problem}", file=sys.stderr)


@app.command(name="check-config")
@with_settings
def check_config(settings: Settings) -> None:
    """Load the settings, try the store, the provider's keys and the streams, and say what is wrong in words."""
    from streamlimit.web.checkup import check_provider  # an HTTP client would slow the start of those who serve

    open_endpoints(settings)
    for note in asyncio.run(check_store(settings)):
        print(f"note: {note}", file=sys.stderr)
    provider = asyncio.run(check_provider(settings))
    for name in unknown_variables():
        print(f"note: {name} is no setting", file=sys.stderr)
    catalog = open_catalog(settings)
    found = 0 if catalog is None else len(catalog.streams())
    print("; ".join(["settings are fine", "the store answers", *provider, f"{found} streams", _security(settings)]))


@keys_app.command(name="new")
def new_key(
    role: Annotated[KeyRole, typer.Option(help="what it opens")] = KeyRole.OPERATE,
) -> None:
    """Make a key: shown this once, and as the line for the settings, which keeps only its hash."""
    key = f"{role}-{secrets.token_urlsafe(32)}"
    print(f"key (shown only now): {key}")
    print(f'{KEY_SETTINGS[role]} = ["{key_hash(key)}"]')


app.command()(bench)  # no settings: it is a client of a service that may be anywhere


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """The console script. A wrong setting: its name, what was wrong, exit code 2."""
    configure_logs()  # on standard error: what a command prints is for pipes
    try:
        app()
    except SettingsError as error:
        print(f"streamlimit: {error}", file=sys.stderr)
        sys.exit(2)
    except StreamlimitError as error:
        print(f"streamlimit: {error}", file=sys.stderr)
        sys.exit(1)


def _serve(settings: Settings, page: str = "") -> None:
    from streamlimit.server import run  # uvicorn is for those who serve

    if not settings.operator_keys and settings.is_loopback:
        key = "op-" + secrets.token_urlsafe(18)
        settings = settings.model_copy(update={"operator_keys": [SecretStr(key)]})
        print(f"operator key (made for this run): {key}")
    for name in unknown_variables():
        print(f"note: {name} is no setting", file=sys.stderr)
    open_endpoints(settings)  # one that may not be called stops the start
    _with_limiter(settings, _nothing)  # a store that cannot be opened stops the start; one that is away does not
    print(_security(settings))
    run(settings, lambda where: print(f"streamlimit {__version__} on {where}{page}", flush=True))


def _security(settings: Settings) -> str:
    """How it is secured, in one line."""
    reach = "this machine only" if settings.is_loopback else "everyone who reaches the address"
    access = f"open access for {reach}"
    if settings.auth == "jwt" and settings.jwt is not None:
        access = f"viewers by token ({'HS256' if settings.jwt.jwks_url is None else settings.jwt.jwks_url})"
    kinds = {
        "operator": settings.operator_keys,
        "read": settings.operator_read_keys,
        "service": settings.service_keys,
    }
    counts = [f"{len(keys)} {kind} keys" for kind, keys in kinds.items() if keys or kind == "operator"]
    every = [key.get_secret_value() for keys in kinds.values() for key in keys]
    plain = sum(not key.startswith("sha256:") for key in every)
    note = f" ({plain} given in plain; sha256:<hex> would hide them)" if plain else ""
    dry = "" if settings.enforce else "; a dry run: nobody is refused"
    return f"security: {access}; {', '.join(counts)}{note}{dry}"


async def _replay(outbox: Outbox) -> dict[str, int]:
    """How many dead letters of each endpoint wait again."""
    replayed = dict.fromkeys((backlog.endpoint for backlog in await resolved(outbox.backlog())), 0)
    for endpoint in replayed:
        while count := await resolved(outbox.replay(endpoint, 500)):  # in steps: viewers wait for each
            replayed[endpoint] += count
            await asyncio.sleep(0.01)
    return replayed


async def _print_callbacks(outbox: Outbox, replayed: dict[str, int], as_json: bool) -> None:
    columns = ("pending", "retrying", "dead", "dropped", "replayed", "disabled", "problem")
    table = Table("endpoint", *columns, box=None)
    dead = []
    for backlog in await resolved(outbox.backlog()):
        shown = {name: getattr(backlog, name, None) for name in columns}
        shown["replayed"] = replayed.get(backlog.endpoint, 0)
        letters = await resolved(outbox.dead_letters(backlog.endpoint, 100))
        if as_json:
            print(json.dumps({"endpoint": backlog.endpoint, **shown, "dead_letters": [_dead(d) for d in letters]}))
        table.add_row(backlog.endpoint, *("-" if value is None else str(value) for value in shown.values()))
        dead += [(backlog.endpoint, _dead(letter)) for letter in letters]
    if not as_json:
        _print_table(table)
        for endpoint, letter in dead:
            print(f"dead letter to {endpoint}: " + " ".join(map(str, letter.values())))


def _dead(letter: DeadLetter) -> dict[str, str]:
    session = letter.event.session
    names = {"id": letter.event.id, "type": letter.event.type, "at": rfc3339(letter.at_ms)}
    return names | {"user_id": session.user_id, "session_id": session.session_id, "problem": letter.problem}


async def _nothing(_limiter: Limiter) -> None:
    """Opening was all."""


def _with_limiter(settings: Settings, work: Callable[[Limiter], Any]) -> None:
    async def run() -> None:
        limiter = open_limiter(settings)
        try:
            await work(limiter)
        finally:
            await resolved(limiter.store.close())

    asyncio.run(run())


async def _print_sessions(limiter: Limiter, user: str | None, as_json: bool) -> None:
    table = Table("user", "session", "stream", "state", "device", "since", "last activity", "expires", box=None)
    cursor = None
    while True:
        page = await resolved(limiter.store.browse(cursor, 500, user, None, None))
        for session in page.sessions:
            if as_json:
                print(msgspec.json.encode(session_json(session)).decode())
                continue
            table.add_row(*_row(session))
        cursor = page.cursor
        if cursor is None:
            break
    if not as_json:
        _print_table(table)


def _row(session: Session) -> tuple[str | Text, ...]:
    device = session.device
    if isinstance(device, Device):
        device = device.id or device.name or device.type
    last = "never" if session.last_activity_ms is None else rfc3339(session.last_activity_ms)
    times = rfc3339(session.started_at_ms), last, rfc3339(session.expires_at_ms)
    return session.user_id, session.session_id, session.stream_id, session.state, _shown(device or "-"), *times


def _shown(text: str) -> Text:
    """What somebody else chose, as it may go to a terminal: no markup, no control characters."""
    return Text("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))


def _print_table(table: Table) -> None:
    """As wide as the terminal; in a pipe as wide as it needs."""
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


if __name__ == "__main__":
    main()
