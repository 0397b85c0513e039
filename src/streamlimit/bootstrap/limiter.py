"""A worker's limiter over its cached store, and all that is told of what it decides: events, refusals, seats."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from streamlimit.bootstrap.store import open_cached_store
from streamlimit.cache import CachingStore
from streamlimit.feed.recorder import Recorder
from streamlimit.limiter import Limiter, OnRefusal, OnSeat
from streamlimit.logs import announce
from streamlimit.model import Ask, Event, Refusal
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
    """The limiter, whose listeners count, log, record and deliver what happens, and its store."""

    def happened(event: Event) -> None:
        limiter.happened((event,))

    store = open_cached_store(settings, happened, tally)
    notify = _event_listener(settings, dispatcher, recorder, counts)
    on_refusal = _counting_users(settings, tally, plans, _refusal_listener(settings, dispatcher, recorder))
    on_refusal = _counting_refusals(settings, counts, on_refusal)
    guard, on_seat = _guard(settings, store), _seat_listener(settings, counts)
    limiter = Limiter(store, notify, tally, on_refusal, guard, on_seat)
    return limiter, store


def _guard(settings: Settings, store: CachingStore) -> RefusalLimiter:
    x = settings.segment_seconds
    return RefusalLimiter(store.cache, held_seconds=x / 4, marked_seconds=x / MARK_WRITES)


def _event_listener(
    settings: Settings, dispatcher: "WebhookDispatcher | None", recorder: Recorder, counts: Counts
) -> Callable[[Event], None]:
    """The listener to events: it logs, records and counts each, and wakes the webhooks' worker."""
    count = (counts.happened,) if settings.report_days else ()
    wake = () if dispatcher is None else (dispatcher.wake,)
    listeners = announce, recorder, *count, *wake

    def notify(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return notify


def _seat_listener(settings: Settings, counts: Counts) -> OnSeat:
    """The listener that counts seats; one that does nothing where reports are kept for no time."""
    return counts.admitted if settings.report_days else lambda ask, admitted: None


def _refusal_listener(settings: Settings, dispatcher: "WebhookDispatcher | None", recorder: Recorder) -> OnRefusal:
    """The listener that makes events of refusals: for the feed, and for the endpoints that want them."""
    from streamlimit.webhooks.refusals import Refusals

    quiet_ms = settings.policy().expiry_ms
    recording = Refusals(recorder.feed, quiet_ms, recorder)
    if dispatcher is None or "session.refused" not in settings.subscribed:
        return recording
    delivering = Refusals(dispatcher.outbox, quiet_ms, _refusal_event_listener(dispatcher))

    def refused(ask: Ask, refusal: Refusal) -> None:
        recording(ask, refusal)
        delivering(ask, refusal)

    return refused


def _refusal_event_listener(dispatcher: "WebhookDispatcher") -> Callable[[Event], None]:
    """As `_event_listener`, for an event that is recorded already."""

    def notify(event: Event) -> None:
        announce(event)
        dispatcher.wake(event)

    return notify


def _counting_refusals(settings: Settings, counts: Counts, tell: OnRefusal) -> OnRefusal:
    """*tell*, and the *counts*, of each refusal; also those that a dry run leaves out, which is what it is for."""
    if not settings.report_days:
        return tell

    def tell_both(ask: Ask, refusal: Refusal) -> None:
        counts.refused(ask, refusal)
        tell(ask, refusal)

    return tell_both


def _counting_users(settings: Settings, tally: Tally, plans: Plans, notify: OnRefusal) -> OnRefusal:
    """*notify*, after the user was counted; a dry run refuses nobody, and counts none."""
    policy = settings.policy()
    if not policy.enforce:
        return notify
    count = RefusedUsers(tally.refused_users, lambda plan: plan in plans.by_name, policy.expiry_ms / 1_000)

    def refused(ask: Ask, refusal: Refusal) -> None:
        count(ask, refusal)
        notify(ask, refusal)

    return refused
