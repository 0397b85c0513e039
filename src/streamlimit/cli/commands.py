"""All commands, with their options and help texts; the code of a command is imported when it is called."""

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streamlimit import __version__
from streamlimit.bench.command import bench
from streamlimit.cli.flags import Where, with_service, with_settings
from streamlimit.cli.remote import Remote
from streamlimit.errors import SettingsError
from streamlimit.settings import Settings

app = typer.Typer(
    help="Keeps a subscriber from watching more streams at once than the plan allows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

keys_app = typer.Typer(help="Keys of operators and back ends.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
config_app = typer.Typer(help="The file of settings, and examples of proxies, units and charts.", no_args_is_help=True)
app.add_typer(config_app, name="config")


AsJson = Annotated[bool, typer.Option("--json", help="one JSON object a line")]


class KeyRole(StrEnum):
    """The role that a key opens."""

    OPERATE = "operate"
    READ = "read"
    SERVICE = "service"


@app.command()
@with_settings
def serve(settings: Settings) -> None:
    """Serve streams (or only the ledger) to viewers, under the limit."""
    from streamlimit.cli import serving

    serving.serve(settings)


@app.command()
@with_settings
def demo(settings: Settings) -> None:
    """Serve four sample streams on this machine and a page to watch them: the fourth is refused."""
    from streamlimit.cli import serving

    serving.demo(settings)


@app.command()
@with_service
def expire(
    where: Where,
    max_seconds: Annotated[float | None, typer.Option(help="stop after so long; exit code 3: more is due")] = None,
) -> None:
    """Expire idle sessions once (Endpoint 2's work), for cron."""
    from streamlimit.cli import expiring

    expiring.expire(where, max_seconds)


@app.command(name="sessions")
@with_service
def show_sessions(
    where: Where,
    user: Annotated[str | None, typer.Argument(help="only this user's")] = None,
    end: Annotated[str | None, typer.Option(help="terminate this session of USER")] = None,
    forgive: Annotated[str | None, typer.Option(help="let this terminated session of USER come back")] = None,
    forgive_all: Annotated[bool, typer.Option("--forgive-all", help="let all of USER's come back")] = False,
    as_json: AsJson = False,
) -> None:
    """Show who is watching, end a session, or let a terminated one come back."""
    from streamlimit.cli import sessions

    if (end is not None) + (forgive is not None) + forgive_all > 1:
        raise SettingsError("--end, --forgive, --forgive-all", "take one of them")
    if end is not None:
        sessions.end(where, user, end)
    elif forgive is not None or forgive_all:
        sessions.forgive(where, user, forgive)
    else:
        sessions.show(where, user, as_json)


@app.command(name="limit")
@with_service
def own_limit(
    where: Where,
    user: Annotated[str, typer.Argument(help="whose limit")],
    n: Annotated[int | None, typer.Argument(min=1, max=64, help="their own limit from now on")] = None,
    until: Annotated[
        str | None, typer.Option(help="when it ends: tomorrow, 6h, 3d, 2031-01-31T18:00:00Z; else it holds for good")
    ] = None,
    note: Annotated[str, typer.Option(help="why, for operators who look later")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="remove it: the plan's or the service's holds")] = False,
) -> None:
    """Give a user a limit of their own, show it, or remove it."""
    from streamlimit.cli import limits

    limits.change_or_show(where, user, n, limits.Wish(until, note, remove))


@app.command(name="limits")
@with_service
def show_limits(where: Where, as_json: AsJson = False) -> None:
    """List the users with a limit of their own."""
    from streamlimit.cli import limits

    limits.show_all(where, as_json)


@app.command(name="events")
@with_service
def follow_events(
    where: Where,
    types: Annotated[list[str] | None, typer.Option("--type", help="only these, as session.refused")] = None,
    user: Annotated[str | None, typer.Option(help="only this user's")] = None,
    stream: Annotated[str | None, typer.Option(help="only of this stream")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what happens as it happens, until ctrl-C."""
    from streamlimit.cli import events

    events.follow(where, events.Wanted(tuple(types or ()), user, stream, as_json))


@app.command(name="top")
@with_service
def show_top(where: Where) -> None:
    """Show how many watch what, at this moment, until q or ctrl-C; in a pipe once."""
    from streamlimit.cli import top

    top.show(where)


@app.command(name="callbacks")
@with_service
def show_callbacks(
    where: Where,
    test: Annotated[
        bool, typer.Option("--test", help="send each endpoint a test event, and say what came back")
    ] = False,
    replay: Annotated[bool, typer.Option("--replay", help="send dead letters again, enable endpoints")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line and endpoint")] = False,
) -> None:
    """Show what waits for its webhook, what failed for good, and endpoints that want no more."""
    from streamlimit.cli import callbacks

    if test and replay:
        raise SettingsError("--test, --replay", "take one of them")
    if isinstance(where, Remote):
        if test or replay:
            raise SettingsError("--test, --replay", "work with the settings of the service: leave --url out")
        callbacks.show_of_service(where, as_json)
    elif test:
        callbacks.try_all(where)
    else:
        callbacks.show(where, replay, as_json)


@app.command(name="report")
@with_service
def show_report(
    where: Where,
    month: Annotated[str | None, typer.Option(help="of this month, as 2026-11; by hour: hours of the day")] = None,
    day: Annotated[str | None, typer.Option(help="of this day, as 2026-11-30")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="from this date, or time of RFC 3339, on")] = None,
    end: Annotated[str | None, typer.Option("--to", help="up to this date, or time of RFC 3339")] = None,
    by: Annotated[
        str, typer.Option(help="plan, stream or device_type, and hour, day, month or hour-of-day: as plan,hour")
    ] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="for spreadsheets")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell how many users hit their limit, on which plans, at what hour."""
    from streamlimit.cli import report

    report.report(where, report.Wish(month, day, begin, end, by, as_csv, as_json))


@app.command(name="streams")
@with_service
def show_streams(where: Where) -> None:
    """List the streams that would be served, and what is wrong with others."""
    from streamlimit.cli import streams

    streams.show(where)


@app.command()
@with_settings
def backup(
    settings: Settings,
    file: Annotated[Path, typer.Argument(help="the copy; one that is there is replaced when the new one is whole")],
) -> None:
    """Copy the store, where that is SQLite's file, while it is in use: no viewer waits for that."""
    from streamlimit.bootstrap.engine import engine_of

    began = time.monotonic()
    size = engine_of(settings).back_up(file)
    print(f"backed up to {file}: {size} bytes in {time.monotonic() - began:.1f} s")


@app.command(name="check-config")
@with_settings
def check_config(settings: Settings) -> None:
    """Load the settings, try the store, the provider's keys and the streams, and say what is wrong in words."""
    from streamlimit.cli import checking

    checking.check(settings)


app.command()(bench)  # no settings: it is a client of a service that may be anywhere


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


@config_app.command()
def init(
    file: Annotated[Path, typer.Argument(help="where; nothing that is there is overwritten")] = Path(
        "streamlimit.toml"
    ),
) -> None:
    """Write the commented file of settings, each with its default."""
    from streamlimit.cli import deploy_files

    deploy_files.write(file)


@keys_app.command(name="list")
@with_settings
def list_keys(settings: Settings) -> None:
    """List the keys of the settings by role and name, without the keys."""
    from streamlimit.cli import keys

    keys.show(settings)


@keys_app.command()
def new(
    role: Annotated[KeyRole, typer.Option(help="what it opens")] = KeyRole.OPERATE,
    name: Annotated[str | None, typer.Option(help="whose it is, as logs, events and viewers see it")] = None,
) -> None:
    """Make a key: shown this once, and as the line for the settings, which keeps only its hash."""
    from streamlimit.cli import keys

    keys.make(role, name)


@config_app.command()
def files(
    to: Annotated[Path | None, typer.Option(help="copy them into this folder; what is there is left as it is")] = None,
) -> None:
    """Print where the examples of deploy/ are, or copy them."""
    from streamlimit.cli import deploy_files

    deploy_files.show(to)
