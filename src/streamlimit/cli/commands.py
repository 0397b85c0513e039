"""Every command, with its options and its words; what it does is imported when it is called."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streamlimit import __version__
from streamlimit.bench.command import bench
from streamlimit.cli.flags import with_settings
from streamlimit.errors import SettingsError
from streamlimit.settings import Settings

app = typer.Typer(
    help="Keeps a subscriber from watching more streams at once than the plan allows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

keys_app = typer.Typer(help="Keys of operators and back ends.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
config_app = typer.Typer(help="Examples of settings, proxies, units and charts.", no_args_is_help=True)
app.add_typer(config_app, name="config")


class KeyRole(StrEnum):
    """What a key opens."""

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
@with_settings
def expire(
    settings: Settings,
    max_seconds: Annotated[float | None, typer.Option(help="stop after so long; exit code 3: more is due")] = None,
) -> None:
    """Expire idle sessions once (Endpoint 2's work), for cron."""
    from streamlimit.cli import expiring

    expiring.expire(settings, max_seconds)


@app.command(name="sessions")
@with_settings
def show_sessions(
    settings: Settings,
    user: Annotated[str | None, typer.Argument(help="only this user's")] = None,
    end: Annotated[str | None, typer.Option(help="terminate this session of USER")] = None,
    forgive: Annotated[str | None, typer.Option(help="let this terminated session of USER come back")] = None,
    forgive_all: Annotated[bool, typer.Option("--forgive-all", help="let all of USER's come back")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:
    """Show who is watching, end a session, or let a terminated one come back."""
    from streamlimit.cli import sessions

    if (end is not None) + (forgive is not None) + forgive_all > 1:
        raise SettingsError("--end, --forgive, --forgive-all", "take one of them")
    if end is not None:
        sessions.end(settings, user, end)
    elif forgive is not None or forgive_all:
        sessions.forgive(settings, user, forgive)
    else:
        sessions.show(settings, user, as_json)


@app.command(name="limit")
@with_settings
def own_limit(
    settings: Settings,
    user: Annotated[str, typer.Argument(help="whose limit")],
    n: Annotated[int | None, typer.Argument(min=1, max=64, help="their own limit from now on")] = None,
    until: Annotated[
        str | None, typer.Option(help="when it ends, as 2031-01-31T18:00:00Z; else it holds for good")
    ] = None,
    note: Annotated[str, typer.Option(help="why, for whoever looks later")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="take it away: the plan's or the service's holds")] = False,
) -> None:
    """Give a user a limit of their own, show it, or take it away."""
    from streamlimit.cli import limits

    limits.change_or_show(settings, user, n, limits.Wish(until, note, remove))


@app.command(name="callbacks")
@with_settings
def show_callbacks(
    settings: Settings,
    replay: Annotated[bool, typer.Option("--replay", help="send dead letters again, enable endpoints")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line and endpoint")] = False,
) -> None:
    """Show what waits for its webhook, what failed for good, and endpoints that want no more."""
    from streamlimit.cli import callbacks

    callbacks.show(settings, replay, as_json)


@app.command(name="report")
@with_settings
def show_report(
    settings: Settings,
    month: Annotated[str | None, typer.Option(help="of this month, as 2026-11; by hour: hours of the day")] = None,
    day: Annotated[str | None, typer.Option(help="of this day, as 2026-11-30")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="from this date, or time of RFC 3339, on")] = None,
    end: Annotated[str | None, typer.Option("--to", help="up to this date, or time of RFC 3339")] = None,
    by: Annotated[
        str, typer.Option(help="plan, stream or device_type, and hour, day, month or hour-of-day: as plan,hour")
    ] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="for spreadsheets")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    url: Annotated[
        str | None, typer.Option(envvar="STREAMLIMIT_URL", help="ask this running service; else the settings' store")
    ] = None,
    key: Annotated[
        str | None, typer.Option(envvar="STREAMLIMIT_KEY", help="an operator's or reader's key for it")
    ] = None,
) -> None:
    """Tell how many users hit their limit, on which plans, at what hour."""
    from streamlimit.cli import report

    report.report(settings, report.Wish(month, day, begin, end, by, as_csv, as_json, url, key))


@app.command(name="streams")
@with_settings
def show_streams(settings: Settings) -> None:
    """List the streams that would be served, and what is wrong with others."""
    from streamlimit.cli import streams

    streams.show(settings)


@app.command()
@with_settings
def backup(
    settings: Settings,
    file: Annotated[Path, typer.Argument(help="the copy; one that is there is replaced when the new one is whole")],
) -> None:
    """Copy the store, where that is SQLite's file, while it is in use: nobody waits for that."""
    from streamlimit.cli import backing_up

    backing_up.back_up_to(settings, file)


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
