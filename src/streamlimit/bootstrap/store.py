"""The worker's store: tried, and behind a cache that bridges its outages."""

from collections.abc import Callable

from streamlimit.bootstrap.engine import engine_of
from streamlimit.cache import CachingStore, OutagePolicy
from streamlimit.logs import announce_outage
from streamlimit.model import Ask, Event, Purpose
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved
from streamlimit.store.diagnosis import in_words
from streamlimit.tally import Tally


def open_cached_store(settings: Settings, notify: Callable[[Event], None], tally: Tally) -> CachingStore:
    """A worker's store behind its cache. *notify* is called with events of confirmations that no request waits for."""
    engine, policy = engine_of(settings), settings.policy()
    store = engine.store(policy, serves=True, tally=tally)
    outage_policy = OutagePolicy(
        spares=not engine.is_local,
        on_outage=settings.on_store_outage if settings.enforce else "admit-all",  # a dry run refuses nobody
        outage_seconds=settings.outage_seconds,
    )

    def announce_change(is_unavailable: bool) -> None:
        cause = found.cause
        announce_outage(outage_policy.on_outage, outage_policy.outage_seconds, is_unavailable, in_words(cause), cause)

    found = CachingStore(store, policy, outage_policy, notify, announce_change)
    engine.on_failure(store, found.failed)
    return found


async def check_store(settings: Settings) -> list[str]:
    """Tries the store. Notes on it; raises `SettingsError` or `StoreUnavailable`, with words, where it is no good."""
    engine = engine_of(settings)
    notes = await engine.notes()
    with engine.trial() as tried:
        store = tried.store(settings.policy())
        try:
            await resolved(store.ping())
            await resolved(store.sessions("check-config"))
            # A look, which changes nothing, but runs the script that decides: may this user run scripts?
            await resolved(store.admit(Ask("check-config", "check-config", "check-config", Purpose.CHECK)))
        finally:
            await resolved(store.close())
    return notes
