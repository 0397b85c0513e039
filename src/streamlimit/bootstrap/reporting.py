"""Reports: the reporter that writes a worker's counts to the store."""

from streamlimit.bootstrap.engine import engine_of
from streamlimit.reporting.counts import Counts
from streamlimit.reporting.reporter import Reporter, Sources
from streamlimit.settings import Settings
from streamlimit.store.contract import Store
from streamlimit.tally import Tally


def open_reporter(settings: Settings, store: Store, tally: Tally, counts: Counts) -> Reporter:
    """The reporter, which brings a worker's *counts* to the reports; *store* is the worker's."""
    reports, at_once = engine_of(settings).reports(serves=True)
    sources = Sources(store, settings.policy(), lambda: tally.admissions + tally.confirmations)
    return Reporter(counts, reports, sources, settings.report_days, at_once)
