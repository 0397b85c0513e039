"""The composition of all parts of one worker."""

from typing import TYPE_CHECKING

from streamlimit.bootstrap.access import open_authenticator, open_grants
from streamlimit.bootstrap.engine import engine_of
from streamlimit.bootstrap.feed import open_recorder
from streamlimit.bootstrap.limiter import open_limiter
from streamlimit.bootstrap.streams import open_catalog, open_origin
from streamlimit.cache import CachingStore
from streamlimit.census import Counted
from streamlimit.delivery.entrusted import Entrusted
from streamlimit.delivery.local import LocalFiles, StreamFiles
from streamlimit.delivery.streams import Streams
from streamlimit.document import wall_ms
from streamlimit.feed.hub import Hub
from streamlimit.limiter import Limiter
from streamlimit.reporting.counts import Counts
from streamlimit.reporting.reporter import Reporter, Sources
from streamlimit.settings import Settings
from streamlimit.tally import Tally
from streamlimit.web.address import Proxies
from streamlimit.web.auth import Authenticator
from streamlimit.web.console.series import Series
from streamlimit.web.grants import Grants
from streamlimit.web.metrics import Metrics
from streamlimit.web.plans import Plans
from streamlimit.web.readiness import Readiness
from streamlimit.web.service import Service

if TYPE_CHECKING:
    from streamlimit.webhooks.dispatcher import WebhookDispatcher


async def build_service(
    settings: Settings, dispatcher: "WebhookDispatcher | None" = None, tally: Tally | None = None
) -> Service:
    """The parts of one worker; *dispatcher* is woken by events, so that webhooks need not wait."""
    tally, counts, plans = tally or Tally(), Counts(wall_ms), Plans(settings.plans)
    recorder = open_recorder(settings, serves=True)
    limiter, store = open_limiter(settings, dispatcher, recorder, tally, counts, plans)
    hub, counted = Hub(recorder.feed), Counted(store)
    grants, authenticator = await _open_access(settings, store, plans, hub)
    metrics = Metrics(tally, store, dispatcher.workers if dispatcher is not None else ())
    catalog, origin = open_catalog(settings), open_origin(settings)
    return Service(
        settings=settings,
        policy=settings.policy(),
        limiter=limiter,
        store=store,
        counted=counted,
        reporter=_reporter(settings, store, tally, counts),
        metrics=metrics,
        series=Series(metrics, counted),
        readiness=Readiness(store),
        recorder=recorder,
        hub=hub,
        outbox=None if dispatcher is None else dispatcher.outbox,
        tally=tally,
        grants=grants,
        authenticator=authenticator,
        plans=plans,
        proxies=Proxies(settings.trusted_proxies),
        catalog=catalog,
        origin=origin,
        streams=Streams(catalog or origin, settings.ledger_streams == "any"),
        entrusted=_entrusted(settings, limiter),
        files=None if catalog is None else StreamFiles(catalog, LocalFiles()),
    )


async def _open_access(settings: Settings, store: CachingStore, plans: Plans, hub: Hub) -> tuple[Grants, Authenticator]:
    """Grants and authentication.

    A change of keys wakes the listeners of *hub*: those with a withdrawn key are closed.
    """
    grants = await open_grants(settings, store)
    authenticator = open_authenticator(settings, grants, plans)
    authenticator.on_change(hub.wake)
    return grants, authenticator


def _reporter(settings: Settings, store: CachingStore, tally: Tally, counts: Counts) -> Reporter:
    """The reporter, which brings the worker's *counts* to the reports."""
    reports, at_once = engine_of(settings).reports(serves=True)
    sources = Sources(store, settings.policy(), lambda: tally.admissions + tally.confirmations)
    return Reporter(counts, reports, sources, settings.report_days, at_once)


def _entrusted(settings: Settings, limiter: Limiter) -> Entrusted:
    keeps_yes = settings.edge_cache >= 1 and settings.deliver == "bytes"
    return Entrusted(limiter, settings.policy().expiry_ms / 1_000, any_later=keeps_yes)
