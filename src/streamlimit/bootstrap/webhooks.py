"""Webhooks: the endpoints, the outbox of events that wait for them, and the dispatcher that delivers them."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from streamlimit.bootstrap.engine import engine_of
from streamlimit.errors import SettingsError, several
from streamlimit.logs import EventLog
from streamlimit.settings import EVENT_TYPES, Settings
from streamlimit.store.outbox import Outbox

if TYPE_CHECKING:
    from streamlimit.webhooks.dispatcher import WebhookDispatcher
    from streamlimit.webhooks.endpoint import Endpoint

log = EventLog("streamlimit")

PRIVATE = "a private or loopback address; set allow_private_callbacks = true if it is meant"


def open_endpoints(settings: Settings) -> "list[Endpoint]":
    """The endpoints of webhooks. Raises `SettingsError` for addresses that are forbidden by their form."""
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
    """The outbox of the store in the settings, with its endpoints; *serves* as in `Engine`."""
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
