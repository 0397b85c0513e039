"""The store that the settings name, tried, and what decides over it."""

from collections.abc import Callable
from functools import partial

from streamlimit.errors import SettingsError, StoreUnavailable
from streamlimit.limiter import Limiter
from streamlimit.logs import announce, announce_outage
from streamlimit.model import Event
from streamlimit.policy import Policy
from streamlimit.settings import Settings
from streamlimit.steady import Conduct, SteadyStore
from streamlimit.store.contract import Store, resolved


def is_sqlite(settings: Settings) -> bool:
    """One file on this machine, not servers across a wire."""
    return settings.store.startswith("sqlite:")


def sqlite_path(settings: Settings) -> str:
    """Where that file is."""
    return settings.store.removeprefix("sqlite:///")


def open_store(settings: Settings, policy: Policy) -> Store:
    """The store that the settings name, be it there or not yet. Raises `SettingsError` where it never will be."""
    most = settings.outbox_max_events
    if not is_sqlite(settings):
        from streamlimit.store.valkey import ValkeyStore

        return ValkeyStore(settings.store, policy, settings.subscribed, outbox_max_events=most)
    from streamlimit.store.sqlite import SqliteStore, opened

    path, wanted = sqlite_path(settings), settings.subscribed
    try:
        return opened(lambda: SqliteStore(path, policy, wanted, outbox_max_events=most, gathers=True))
    except StoreUnavailable as error:
        raise SettingsError("store", str(error)) from error


def open_limiter(settings: Settings) -> Limiter:
    """A limiter without HTTP: for commands and for library users with a configuration."""
    return Limiter(open_store(settings, settings.policy()), announce)


def steady(settings: Settings, store: Store, tell: Callable[[Event], None] = announce) -> SteadyStore:
    """The store as viewers may lean on it while it is away."""
    conduct = Conduct(
        spares=not is_sqlite(settings),
        on_outage=settings.on_store_outage if settings.enforce else "admit-all",  # a dry run refuses nobody
        outage_seconds=settings.outage_seconds,
    )
    announce_change = partial(announce_outage, conduct.on_outage, conduct.outage_seconds)
    found = SteadyStore(store, settings.policy(), conduct, tell, announce_change)
    if not is_sqlite(settings):
        from streamlimit.store.valkey import ValkeyStore

        if isinstance(store, ValkeyStore):
            store.when_it_fails(found.failed)
    return found


async def check_store(settings: Settings) -> list[str]:
    """Tries the store. Notes on it; raises `SettingsError` or `StoreUnavailable`, with words, where it is no good."""
    notes = []
    if not is_sqlite(settings):
        from streamlimit.store.valkey import check

        notes = await check(settings.store)
    store = open_store(settings, settings.policy())
    try:
        await resolved(store.ping())
        await resolved(store.sessions("check-config"))  # a step of its own kind: may this user run scripts?
    finally:
        await resolved(store.close())
    return notes
