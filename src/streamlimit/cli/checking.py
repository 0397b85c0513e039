"""`streamlimit check-config`: tries all that the settings name, and lists all errors at once."""

import asyncio
import sys
from collections.abc import Callable

from streamlimit.bootstrap.edge_log import check_edge_log
from streamlimit.bootstrap.store import check_store
from streamlimit.bootstrap.streams import check_origin, open_catalog
from streamlimit.bootstrap.traces import open_provider
from streamlimit.bootstrap.webhooks import open_endpoints
from streamlimit.cli.security import security
from streamlimit.cli.streams import troubles
from streamlimit.errors import StreamlimitError, several
from streamlimit.settings import Settings, notes_on_variables
from streamlimit.web.checkup import check_provider


def check(settings: Settings) -> None:
    """Checks the settings, and prints notes. Raises the errors."""
    found, wrong = ["settings are fine"], list[StreamlimitError]()
    for attempt in ATTEMPTS:
        try:
            found += attempt(settings)
        except StreamlimitError as error:
            wrong += (error, *error.others)
    for note in notes_on_variables():
        _note(note)
    if wrong:
        raise several(wrong)
    print("; ".join([*found, security(settings)]))


def _endpoints(settings: Settings) -> list[str]:
    open_endpoints(settings)
    return []


def _store(settings: Settings) -> list[str]:
    for note in asyncio.run(check_store(settings)):
        _note(note)
    return ["the store answers"]


def _provider(settings: Settings) -> list[str]:
    return asyncio.run(check_provider(settings))


def _streams(settings: Settings) -> list[str]:
    catalog = open_catalog(settings)
    if settings.has_origin:
        asyncio.run(check_origin(settings))
        return ["the origin answers"]
    if catalog is None:
        return ["0 streams"]
    count = len(catalog.streams())
    for trouble in troubles(catalog):
        _note(trouble)
    return [f"{count} streams"]


def _edge_log(settings: Settings) -> list[str]:
    check_edge_log(settings)
    return []


def _traces(settings: Settings) -> list[str]:
    if settings.traces is not None:
        open_provider(settings.traces).shutdown()
    return []


ATTEMPTS: tuple[Callable[[Settings], list[str]], ...] = (_endpoints, _edge_log, _traces, _store, _provider, _streams)
"""The checks; each returns notes, or raises an error."""


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)
