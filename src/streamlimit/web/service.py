"""The parts that the web layer works with, as the composition root hands them over."""

from dataclasses import dataclass

from streamlimit.cache import CachingStore
from streamlimit.census import Counted
from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.entrusted import Entrusted
from streamlimit.delivery.known import Streams
from streamlimit.delivery.local import LocalFiles
from streamlimit.limiter import Limiter
from streamlimit.policy import Policy
from streamlimit.settings import Settings
from streamlimit.store.contract import Outbox
from streamlimit.tally import Tally
from streamlimit.web.address import Proxies
from streamlimit.web.auth import Authenticator, Plans
from streamlimit.web.grants import Grants
from streamlimit.web.metrics import Metrics
from streamlimit.web.readiness import Readiness


@dataclass(frozen=True, slots=True)
class Service:
    """One worker's parts.

    `catalog` is None where no streams are set (then only the ledger works), `outbox` where nobody is called back.
    """

    settings: Settings
    policy: Policy
    limiter: Limiter
    store: CachingStore
    counted: Counted
    metrics: Metrics
    readiness: Readiness
    outbox: Outbox | None
    grants: Grants
    authenticator: Authenticator
    plans: Plans
    proxies: Proxies
    catalog: Catalog | None
    streams: Streams
    files: LocalFiles
    tally: Tally
    entrusted: Entrusted
