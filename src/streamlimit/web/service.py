"""The parts of a worker that the web layer uses, made by the composition root."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamlimit.cache import CachingStore
from streamlimit.census import Counted
from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.entrusted import Entrusted
from streamlimit.delivery.local import StreamFiles
from streamlimit.delivery.streams import Streams
from streamlimit.feed.hub import Hub
from streamlimit.feed.recorder import Recorder
from streamlimit.limiter import Limiter
from streamlimit.policy import Policy
from streamlimit.reporting.reporter import Reporter
from streamlimit.settings import Settings
from streamlimit.store.outbox import Outbox
from streamlimit.tally import Tally
from streamlimit.web.address import Proxies
from streamlimit.web.auth import Authenticator
from streamlimit.web.console.series import Series
from streamlimit.web.grants import Grants
from streamlimit.web.metrics import Metrics
from streamlimit.web.plans import Plans
from streamlimit.web.readiness import Readiness

if TYPE_CHECKING:
    from streamlimit.delivery.origin.catalog import OriginCatalog


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one worker.

    `catalog` and `files` are of a folder, `origin` of an HTTP origin; where no streams are set all are None (then only
    the ledger works). `outbox` is None where there are no endpoints of webhooks.
    """

    settings: Settings
    policy: Policy
    limiter: Limiter
    store: CachingStore
    counted: Counted
    reporter: Reporter
    metrics: Metrics
    series: Series
    readiness: Readiness
    recorder: Recorder
    hub: Hub
    outbox: Outbox | None
    grants: Grants
    authenticator: Authenticator
    plans: Plans
    proxies: Proxies
    catalog: Catalog | None
    origin: "OriginCatalog | None"
    streams: Streams
    files: StreamFiles | None
    tally: Tally
    entrusted: Entrusted

    @property
    def has_streams(self) -> bool:
        """Are there streams?"""
        return self.catalog is not None or self.origin is not None
