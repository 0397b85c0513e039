"""Reports: the listeners that count what happens, and the reporter that writes the counts to the store."""

from collections.abc import Callable

from streamlimit.bootstrap.engine import engine_of
from streamlimit.limiter import OnRefusal, OnSeat
from streamlimit.model import Ask, Event, Refusal
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


def counting_moves(settings: Settings, counts: Counts) -> tuple[Callable[[Event], None], ...]:
    """The listener to events that counts moves; none where reports are kept for no time."""
    return (counts.happened,) if settings.report_days else ()


def counting_seats(settings: Settings, counts: Counts) -> OnSeat:
    """The listener that counts seats; one that does nothing where reports are kept for no time."""
    return counts.admitted if settings.report_days else lambda ask, admitted: None


def counting_refusals(settings: Settings, counts: Counts, tell: OnRefusal) -> OnRefusal:
    """*tell*, and the *counts*, of each refusal; also those that a dry run leaves out, which is what it is for."""
    if not settings.report_days:
        return tell

    def tell_both(ask: Ask, refusal: Refusal) -> None:
        counts.refused(ask, refusal)
        tell(ask, refusal)

    return tell_both
