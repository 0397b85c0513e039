"""Webhooks: the endpoints, the outbox of events that wait for them, and the listeners that hand events on."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from streamlimit.bootstrap.engine import engine_of
from streamlimit.errors import SettingsError, several
from streamlimit.feed.recorder import Recorder
from streamlimit.limiter import OnRefusal
from streamlimit.logs import EventLog, announce
from streamlimit.model import Ask, Event, Refusal
from streamlimit.settings import EVENT_TYPES, Settings
from streamlimit.store.outbox import Outbox

if TYPE_CHECKING:
    from streamlimit.webhooks.dispatcher import WebhookDispatcher
    from streamlimit.webhooks.endpoint import Endpoint

log = EventLog("streamlimit")

PRIVATE = "a private or loopback address; set allow_private_callbacks = true if it is meant"


def open_endpoints(settings: Settings) -> "list[Endpoint]":
    """The endpoints of webhooks. Raises `SettingsError` for addresses that plainly may not be called."""
    if not settings.callbacks:
        return []
    from streamlimit.webhooks.endpoint import Endpoint

    _require_public(settings)
    return [Endpoint(each.url, each.secrets, each.types or EVENT_TYPES, each.name) for each in settings.callbacks]


def _require_public(settings: Settings) -> None:
    from streamlimit.webhooks.addresses import is_plainly_private

    if settings.allow_private_callbacks:
        return
    hosts = enumerate(urlsplit(callback.url).hostname or "" for callback in settings.callbacks)
    private = [SettingsError(f"callbacks.{number}.url", PRIVATE) for number, host in hosts if is_plainly_private(host)]
    if private:
        raise several(private)


def open_outbox(settings: Settings, serves: bool = False) -> Outbox:
    """The outbox of the store that the settings name, with their endpoints; *serves* as in `Engine`."""
    subscriptions = {endpoint.name: endpoint.types for endpoint in open_endpoints(settings)}
    return engine_of(settings).outbox(subscriptions, serves)


def open_dispatcher(settings: Settings, serves: bool = False) -> "WebhookDispatcher | None":
    """The dispatcher of webhooks; None where no endpoint is set."""
    if not settings.callbacks:
        return None
    from streamlimit.webhooks.addresses import Addresses
    from streamlimit.webhooks.dispatcher import WebhookDispatcher
    from streamlimit.webhooks.sender import Sender
    from streamlimit.webhooks.worker import WebhookWorker

    outbox, addresses = open_outbox(settings, serves), Addresses(settings.allow_private_callbacks)
    senders = [Sender(endpoint, addresses) for endpoint in open_endpoints(settings)]
    workers = [WebhookWorker(s.endpoint.name, outbox, s, log, s.endpoint.types) for s in senders]
    return WebhookDispatcher(outbox, workers, senders)


def event_listener(
    dispatcher: "WebhookDispatcher | None", recorder: Recorder, *others: Callable[[Event], None]
) -> Callable[[Event], None]:
    """The listener to a worker's events: it logs and records each, calls *others*, and wakes the webhooks' worker."""
    wake = () if dispatcher is None else (dispatcher.wake,)
    listeners = announce, recorder, *others, *wake

    def notify(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return notify


def _refusal_event_listener(dispatcher: "WebhookDispatcher") -> Callable[[Event], None]:
    """As `event_listener`, for an event that is recorded already."""

    def notify(event: Event) -> None:
        announce(event)
        dispatcher.wake(event)

    return notify


def refusal_listener(settings: Settings, dispatcher: "WebhookDispatcher | None", recorder: Recorder) -> OnRefusal:
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
