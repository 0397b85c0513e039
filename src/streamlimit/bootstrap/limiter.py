"""A worker's limiter over its cached store, with the listeners to its events, refusals and seats."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from streamlimit.bootstrap.store import open_cached_store
from streamlimit.cache import CachingStore
from streamlimit.feed.recorder import Recorder
from streamlimit.limiter import Limiter, OnRefusal, OnSeat, joined
from streamlimit.logs import announce
from streamlimit.model import Event
from streamlimit.policy import MARK_WRITES
from streamlimit.refusal_limiter import RefusalLimiter
from streamlimit.reporting.counts import Counts
from streamlimit.settings import Settings
from streamlimit.tally import RefusedUsers, Tally
from streamlimit.web.plans import Plans

if TYPE_CHECKING:
    from streamlimit.webhooks.dispatcher import WebhookDispatcher


def open_limiter(
    settings: Settings,
    dispatcher: "WebhookDispatcher | None",
    recorder: Recorder,
    tally: Tally,
    counts: Counts,
    plans: Plans,
) -> tuple[Limiter, CachingStore]:
    """The limiter, whose listeners count, log, record and deliver its decisions, and its store."""

    def happened(event: Event) -> None:
        limiter.happened((event,))

    store = open_cached_store(settings, happened, tally)
    on_event: list[Callable[[Event], None]] = [announce, recorder]
    on_refusal, on_seat = list[OnRefusal](), list[OnSeat]()
    if settings.report_days:
        on_event.append(counts.happened)
        on_refusal.append(counts.refused)  # also those that a dry run leaves out, which is what it is for
        on_seat.append(counts.admitted)
    if settings.enforce:  # a dry run refuses nobody
        on_refusal.append(_counting_users(settings, tally, plans))
    on_refusal += _refusal_listeners(settings, dispatcher, recorder)
    if dispatcher is not None:
        on_event.append(dispatcher.wake)
    limiter = Limiter(store, joined(*on_event), tally, joined(*on_refusal), _guard(settings, store), joined(*on_seat))
    return limiter, store


def _guard(settings: Settings, store: CachingStore) -> RefusalLimiter:
    x = settings.segment_seconds
    return RefusalLimiter(store.cache, held_seconds=x / 4, marked_seconds=x / MARK_WRITES)


def _counting_users(settings: Settings, tally: Tally, plans: Plans) -> OnRefusal:
    return RefusedUsers(tally.refused_users, lambda plan: plan in plans.by_name, settings.policy().expiry_ms / 1_000)


def _refusal_listeners(
    settings: Settings, dispatcher: "WebhookDispatcher | None", recorder: Recorder
) -> list[OnRefusal]:
    """The listeners that make events of refusals: for the feed, and for the endpoints that want them."""
    from streamlimit.webhooks.refusals import Refusals

    quiet_ms = settings.policy().expiry_ms
    recording: OnRefusal = Refusals(recorder.feed, quiet_ms, recorder)
    if dispatcher is None or "session.refused" not in settings.subscribed:
        return [recording]
    # Of the same event, which is recorded already.
    return [recording, Refusals(dispatcher.outbox, quiet_ms, joined(announce, dispatcher.wake))]
