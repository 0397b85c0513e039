"""The composition root: the only place that names concrete parts. Settings in, a running worker out.

What not every worker needs (the other store, call backs) is imported where it is opened: a start takes half as long.
"""

import asyncio
import gc
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr

from streamlimit.census import Counted
from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.local import LocalFiles
from streamlimit.errors import SettingsError, StoreUnavailable
from streamlimit.hammering import Guard
from streamlimit.limiter import Limiter, OnRefusal
from streamlimit.logs import announce, announce_outage, configure_logs
from streamlimit.model import Event
from streamlimit.policy import Policy
from streamlimit.settings import EVENT_TYPES, Settings
from streamlimit.steady import Conduct, SteadyStore
from streamlimit.store.contract import Outbox, Store, resolved
from streamlimit.sweeper import expire_forever
from streamlimit.tally import Tally
from streamlimit.web.address import Proxies
from streamlimit.web.app import FrontDoor
from streamlimit.web.auth import Doorman, Plans
from streamlimit.web.control import import_plane
from streamlimit.web.grants import Grants
from streamlimit.web.http import Receive, Scope, Send
from streamlimit.web.identity import Keys, Verifier
from streamlimit.web.metrics import Metrics
from streamlimit.web.rights import Role
from streamlimit.web.service import Service

if TYPE_CHECKING:
    from streamlimit.callbacks.office import Office, Work
    from streamlimit.callbacks.webhook import Endpoint

log = structlog.get_logger("streamlimit")

STORE_RETRY_SECONDS = 0.5

BROKEN_SECONDS = 1.0
"""How long work in the background rests after something broke it."""


def is_sqlite(settings: Settings) -> bool:
    """One file on this machine, not servers across a wire."""
    return settings.store.startswith("sqlite:")


def open_store(settings: Settings, policy: Policy) -> Store:
    """The store that the settings name. Raises `SettingsError` where it cannot be opened at all."""
    if not is_sqlite(settings):
        from streamlimit.store.valkey import ValkeyStore

        url, most = settings.store, settings.outbox_max_events
        return ValkeyStore(url, policy, settings.subscribed, outbox_max_events=most)
    from streamlimit.store.sqlite import SqliteStore

    path = settings.store.removeprefix("sqlite:///")
    try:
        return SqliteStore(path, policy, settings.subscribed, outbox_max_events=settings.outbox_max_events)
    except StoreUnavailable as error:
        raise SettingsError("store", str(error)) from error


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


def open_outbox(settings: Settings) -> Outbox:
    """The outbox of that store. Raises `SettingsError` where it cannot be opened at all."""
    subscriptions = {endpoint.name: endpoint.types for endpoint in open_endpoints(settings)}
    if not is_sqlite(settings):
        from streamlimit.store.valkey import ValkeyOutbox

        return ValkeyOutbox(settings.store, subscriptions, settings.outbox_max_events)
    from streamlimit.store.sqlite import SqliteOutbox

    path = settings.store.removeprefix("sqlite:///")
    try:
        return SqliteOutbox(path, subscriptions, settings.outbox_max_events)
    except StoreUnavailable as error:
        raise SettingsError("store", str(error)) from error


def open_endpoints(settings: Settings) -> "list[Endpoint]":
    """Who is called back. Raises `SettingsError` for one that plainly may not be."""
    if not settings.callbacks:
        return []
    from streamlimit.callbacks.addresses import is_plainly_private
    from streamlimit.callbacks.webhook import Endpoint

    endpoints = []
    for number, callback in enumerate(settings.callbacks):
        host = urlsplit(callback.url).hostname or ""
        if not settings.allow_private_callbacks and is_plainly_private(host):
            problem = "a private or loopback address; set allow_private_callbacks = true if it is meant"
            raise SettingsError(f"callbacks.{number}.url", problem)
        endpoints.append(Endpoint(callback.url, callback.secrets, callback.types or EVENT_TYPES, callback.name))
    return endpoints


def open_office(settings: Settings) -> "Office | None":
    """Everything about call backs; None where nobody wants any."""
    if not settings.callbacks:
        return None
    from streamlimit.callbacks.addresses import Addresses
    from streamlimit.callbacks.office import Office
    from streamlimit.callbacks.postman import Postman
    from streamlimit.callbacks.sender import Sender

    outbox, addresses = open_outbox(settings), Addresses(settings.allow_private_callbacks)
    endpoints = open_endpoints(settings)
    postmen = [Postman(e.name, outbox, Sender(e, addresses), log, e.types) for e in endpoints]
    return Office(outbox, postmen)


def open_catalog(settings: Settings) -> Catalog | None:
    """The streams, where any are set."""
    if settings.streams is None:
        return None
    return Catalog(Path(settings.streams), on_problem=_log_problem)


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
    return SteadyStore(store, settings.policy(), conduct, tell, announce_outage)


async def build_service(settings: Settings, office: "Office | None" = None, tally: Tally | None = None) -> Service:
    """All parts of one worker; *office* is told of events, so that call backs need not wait."""
    policy, tally, tell = settings.policy(), tally or Tally(), _telling(office)
    store = steady(settings, open_store(settings, policy), tell)
    grants, plans = Grants(await grant_keys(settings, store), settings.grant_seconds), Plans(settings.plans)
    guard = Guard(store.knowledge, held_seconds=settings.segment_seconds / 4)
    return Service(
        settings=settings,
        policy=policy,
        limiter=Limiter(store, tell, tally, _refusing(settings, office, tell), guard),
        store=store,
        counted=Counted(store),
        metrics=Metrics(tally, store, office.postmen if office is not None else ()),
        tally=tally,
        grants=grants,
        doorman=Doorman(grants, keys_of(settings), plans, verifier_of(settings), uncredentialed(settings)),
        plans=plans,
        proxies=Proxies(settings.trusted_proxies),
        catalog=open_catalog(settings),
        files=LocalFiles(),
    )


def _telling(office: "Office | None") -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        announce(event)
        if office is not None:
            office.wake(event)

    return tell


def _refusing(settings: Settings, office: "Office | None", tell: Callable[[Event], None]) -> OnRefusal:
    """Refusals become events only where someone wants to be called back about them."""
    if office is None or "session.refused" not in settings.subscribed:
        return lambda ask, refusal: None
    from streamlimit.callbacks.refusals import Refusals

    return Refusals(office.outbox, settings.policy().expiry_ms, tell)


def keys_of(settings: Settings) -> dict[Role, list[str]]:
    """The keys of each role."""
    held: dict[Role, list[SecretStr]] = {
        "service": settings.service_keys,
        "reader": settings.operator_read_keys,
        "operator": settings.operator_keys,
    }
    return {role: [key.get_secret_value() for key in keys] for role, keys in held.items()}


def verifier_of(settings: Settings) -> Verifier | None:
    """Who verifies viewers' tokens; None where there are none."""
    if settings.auth != "jwt" or settings.jwt is None:
        return None
    return Verifier(settings.jwt, Keys(settings.jwt))


def uncredentialed(settings: Settings) -> Role:
    """What a caller without a credential is."""
    if settings.auth == "jwt":
        return "nobody"
    return "local" if settings.is_loopback else "anyone"


async def grant_keys(settings: Settings, store: Store) -> list[str]:
    """The keys from the settings, else the one that the store keeps for all workers. Waits for the store."""
    given = [key.get_secret_value() for key in settings.grant_keys]
    while not given:
        try:
            given = [await resolved(store.secret("grant-key", secrets.token_urlsafe(32)))]
        except StoreUnavailable as error:
            log.warning("waiting_for_store", problem=str(error))
            await asyncio.sleep(STORE_RETRY_SECONDS)
    return given


class Worker:
    """One process's ASGI application: opens its parts when the server starts, closes them when it stops."""

    def __init__(self, settings: Settings, tally: Tally) -> None:
        self._settings, self._tally = settings, tally
        self._door: FrontDoor | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._door is not None and scope["type"] != "lifespan":
            return await self._door(scope, receive, send)
        if scope["type"] == "lifespan":
            await self._live(receive, send)

    @property
    def door(self) -> FrontDoor | None:
        """Once the worker has started: for a server that knows shorter ways than ASGI's."""
        return self._door

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        configure_logs()
        office = open_office(self._settings)
        service = await build_service(self._settings, office, self._tally)
        work = _background(service) + (office.work() if office else [])
        background = [asyncio.create_task(go_on_forever(each)) for each in work]
        self._door = FrontDoor(service)
        await send({"type": "lifespan.startup.complete"})
        await import_plane()
        _calm_collector()
        await receive()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await service.store.finish()
        if office is not None:
            await office.stop()
        await resolved(service.store.close())
        await send({"type": "lifespan.shutdown.complete"})


def _calm_collector() -> None:
    """What has been imported stays; requests make hardly any cycles, and looking for them took 8 % of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def go_on_forever(work: "Work") -> None:
    """What breaks *work* is a defect and gets a line in the log; but nobody would miss a sweep that stopped, so it
    begins anew.
    """
    while True:
        try:
            await work()
        except Exception as error:
            log.error("background_broken", problem=str(error), exc_info=True)
        await asyncio.sleep(BROKEN_SECONDS)


def _background(service: Service) -> "list[Work]":
    """What runs beside the viewers, each for ever."""
    every = service.settings.sweep_every_seconds
    work = [service.store.watch_forever, service.counted.count_forever, service.metrics.flush_forever]
    if service.doorman.verifier is not None:
        work.append(service.doorman.verifier.keys.refresh_forever)
    return [*work, partial(expire_forever, service.limiter, every, log)] if every else work


class WorkerFactory:
    """What a worker process is started with; travels to it by pickling. *tally*: where its server counts, too."""

    def __init__(self, settings: Settings, tally: Tally | None = None) -> None:
        self._settings, self._tally = settings, tally or Tally()

    def __call__(self) -> Worker:
        return Worker(self._settings, self._tally)


def _log_problem(stream_id: str, problem: str | None) -> None:
    if problem is None:
        log.info("stream_mended", stream_id=stream_id)
    else:
        log.warning("stream_broken", stream_id=stream_id, problem=problem)
