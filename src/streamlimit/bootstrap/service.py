"""All parts of one worker, put together."""

from typing import TYPE_CHECKING

from streamlimit.bootstrap.access import open_authenticator, open_grants
from streamlimit.bootstrap.feed import open_recorder
from streamlimit.bootstrap.reporting import counting_moves, counting_refusals, counting_seats, open_reporter
from streamlimit.bootstrap.store import cached, open_store
from streamlimit.bootstrap.streams import open_catalog, open_origin
from streamlimit.bootstrap.webhooks import refusing, telling
from streamlimit.cache import CachingStore
from streamlimit.census import Counted
from streamlimit.delivery.entrusted import Entrusted
from streamlimit.delivery.known import Streams
from streamlimit.delivery.local import LocalFiles
from streamlimit.feed.hub import Hub
from streamlimit.limiter import Limiter, OnRefusal
from streamlimit.model import Ask, Refusal
from streamlimit.policy import MARK_WRITES, Policy
from streamlimit.refusal_limiter import RefusalLimiter
from streamlimit.reporting.counts import Counts
from streamlimit.reporting.reporter import wall_ms
from streamlimit.settings import Settings
from streamlimit.tally import RefusedUsers, Tally
from streamlimit.web.address import Proxies
from streamlimit.web.console.series import Series
from streamlimit.web.metrics import Metrics
from streamlimit.web.plans import Plans
from streamlimit.web.readiness import Readiness
from streamlimit.web.service import Service

if TYPE_CHECKING:
    from streamlimit.webhooks.dispatcher import WebhookDispatcher


async def build_service(
    settings: Settings, dispatcher: "WebhookDispatcher | None" = None, tally: Tally | None = None
) -> Service:
    """All parts of one worker; *dispatcher* is told of events, so that webhooks need not wait."""
    policy, tally, counts = settings.policy(), tally or Tally(), Counts(wall_ms)
    recorder = open_recorder(settings, serves=True)
    tell = telling(dispatcher, recorder, *counting_moves(settings, counts))
    store = cached(settings, open_store(settings, policy, serves=True, tally=tally), tell)
    grants, plans = await open_grants(settings, store), Plans(settings.plans)
    catalog, origin = open_catalog(settings), open_origin(settings)
    on_refusal = _refusal_listener(policy, tally, plans, refusing(settings, dispatcher, recorder))
    on_refusal = counting_refusals(settings, counts, on_refusal)
    limiter = Limiter(store, tell, tally, on_refusal, _guard(settings, store), counting_seats(settings, counts))
    keeps_yes = settings.edge_cache >= 1 and settings.deliver == "bytes"
    authenticator, hub = open_authenticator(settings, grants, plans), Hub(recorder.feed)
    authenticator.on_change(hub.wake)  # whose key was taken back hears no more, at once
    counted, metrics = Counted(store), Metrics(tally, store, dispatcher.workers if dispatcher is not None else ())
    return Service(
        settings=settings,
        policy=policy,
        limiter=limiter,
        store=store,
        counted=counted,
        reporter=open_reporter(settings, store, tally, counts, serves=True),
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
        entrusted=Entrusted(limiter, policy.expiry_ms / 1_000, any_later=keeps_yes),
        files=LocalFiles(),
    )


def _guard(settings: Settings, store: CachingStore) -> RefusalLimiter:
    x = settings.segment_seconds
    return RefusalLimiter(store.cache, held_seconds=x / 4, marked_seconds=x / MARK_WRITES)


def _refusal_listener(policy: Policy, tally: Tally, plans: Plans, tell: OnRefusal) -> OnRefusal:
    """*tell*, after the user was counted; a dry run refuses nobody, and counts none."""
    if not policy.enforce:
        return tell
    count = RefusedUsers(tally.refused_users, lambda plan: plan in plans.by_name, policy.expiry_ms / 1_000)

    def refused(ask: Ask, refusal: Refusal) -> None:
        count(ask, refusal)
        tell(ask, refusal)

    return refused
