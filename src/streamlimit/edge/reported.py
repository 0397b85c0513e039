"""Deliveries reported by edges: each is a receipt, or gives a lease back. Knows no protocol."""

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import islice
from typing import TypeVar
from urllib.parse import quote

from msgspec import Struct

from streamlimit.delivery.entrusted import lease_for, receipt_of
from streamlimit.delivery.naming import Place, is_free
from streamlimit.delivery.stream import Stream
from streamlimit.edge.decision import media_at
from streamlimit.edge.grants import in_query
from streamlimit.edge.original import file_of, original_of
from streamlimit.errors import CatalogError, OriginFailed, StoreUnavailable, UnknownStream
from streamlimit.model import NO_MOVE, Ask, Gone, Lease, Receipt, Session, State, Verdict
from streamlimit.store.contract import Events, resolved
from streamlimit.web.auth import Caller
from streamlimit.web.plays import MARK
from streamlimit.web.problems import Problem
from streamlimit.web.service import Service

DELIVERED = frozenset({200, 206})
"""Statuses of answers with media; edges report errors and 304 as `complete`, too."""

AT_ONCE = 16
"""Sessions whose reports are counted at the same time."""
LONG_AGO_MS = 1e15
_is_odd = re.compile("[^!-~]+")
_grant_in = re.compile(r"/play/([^/]+)/").search
_NUMBER = re.compile(r"(?<![0-9])[0-9]+(?=[^0-9]*(?:\.[a-z0-9]+)?$)")  # tried once a run of digits, not at each digit
T = TypeVar("T")


class Report(Struct, frozen=True):
    """A report of one answer. `path`: of the whole request, or `<stream_id>/<file>` with the session of `grant`.

    `at_ms`: its time, in ms of the epoch; None: now.
    """

    path: str
    complete: bool
    grant: str | None = None
    at_ms: float | None = None
    status: int | None = None
    bytes: int | None = None

    @property
    def whose(self) -> str:
        """A key that reports of one session share."""
        path, _, query = self.path.partition("?")
        found = _grant_in(path)
        if found and not found.start():
            return found[1]
        return self.grant or in_query(query) or (found[1] if found else "")  # behind a prefix, or a folder's name

    @property
    def rendition(self) -> str:
        """The file's name without its number, and without a CMCD query."""
        folder, _, file = self.path.partition("?")[0].rpartition("/")
        return f"{folder}/{_NUMBER.sub('', file)}"

    @property
    def is_received(self) -> bool:
        """Did the client receive all of the answer?"""
        return self.complete and self.status in (None, *DELIVERED) and self.bytes != 0

    @property
    def is_lost(self) -> bool:
        """Did the client not receive the answer? Some reports (304, HEAD) are of neither."""
        return not self.complete or (self.status is not None and self.status >= 400)


def latest(reports: Sequence[Report]) -> list[Report]:
    """The effective reports: in one rendition of a session, received ones before a later received one are left out.

    One that was received after it by its time, and so is reported late, speaks for itself.
    """
    kept, spoken_for = list[Report](), dict[tuple[str, str], float]()
    for report in reversed(reports):
        about, at_ms = (report.whose, report.rendition), math.inf if report.at_ms is None else report.at_ms
        until_ms = spoken_for.get(about, -math.inf)
        if at_ms > until_ms:
            kept.append(report)
        if report.is_received:
            spoken_for[about] = max(at_ms, until_ms)
    kept.reverse()
    return kept


async def in_order(reports: Sequence[Report], note: Callable[[Report], Awaitable[T]]) -> list[T]:
    """The results of *note* for *reports*: those of one session in their order, some sessions at the same time.

    The order matters, for the last report sets the session's position. Only a few sessions are processed at a time, so
    that viewers' requests need not wait for all of them.
    """
    sessions: dict[str, list[int]] = {}
    for index, report in enumerate(reports):
        sessions.setdefault(_session_in(report.whose), []).append(index)
    found: dict[int, T] = {}

    async def note_all(indices: list[int]) -> None:
        for index in indices:
            found[index] = await note(reports[index])

    each = iter(sessions.values())
    while some := list(islice(each, AT_ONCE)):
        await asyncio.gather(*map(note_all, some))
    return [found[index] for index in range(len(reports))]


class Reported:
    """Takes the reports of edges for one worker."""

    def __init__(self, service: Service) -> None:
        self._limiter, self._authenticator, self._store = service.limiter, service.authenticator, service.store
        self._streams, self._entrusted = service.streams, service.entrusted
        self._expiry_ms, self._prefix = service.policy.expiry_ms, service.settings.public_path

    async def note(self, report: Report) -> str | None:
        """Counts a report. Returns the grant if its session holds no seat (any more), else None.

        Raises `StoreUnavailable` where nothing is known of the session.
        """
        try:
            token, stream_id, path = self._read(report)
        except Problem:
            return None  # not media: edges report all requests
        if token is None:
            return None
        named = report.grant
        grant = named if named is not None and _session_in(named) == _session_in(token) else token
        try:
            caller = self._authenticator.identify_grant(token)
        except Problem:
            return grant
        await self._streams.look_for(stream_id, path)
        place = self._place(stream_id, path)
        if place is None or (caller.streams is not None and stream_id not in caller.streams):
            return None
        age_ms = self._age_ms(report)
        if age_ms >= self._expiry_ms:
            return None
        return grant if await self._is_gone(report, caller, stream_id, place, age_ms) else None

    def _read(self, report: Report) -> tuple[str | None, str, str]:
        """Grant, stream and file. Raises 400."""
        path = _is_odd.sub(lambda found: quote(found[0]), report.path)  # some logs have decoded paths
        if not path.startswith("/"):
            return report.grant, *file_of(path)
        original = original_of(path, self._prefix)
        return original.grant or report.grant or in_query(original.query), original.stream_id, original.path

    def _place(self, stream_id: str, path: str) -> Place | None:
        """The place of the segment, without reading the file, which may be gone; None: no segment, or unknown."""
        try:
            stream = self._streams.find(stream_id)
        except (UnknownStream, CatalogError, OriginFailed):
            return None
        if not path or path.endswith("/") or _is_free(stream, path):
            return None
        return media_at(stream, path)

    def _age_ms(self, report: Report) -> int:
        """The age of the report in ms; the future counts as now."""
        if report.at_ms is None:
            return 0
        return math.floor(min(max(time.time() * 1_000 - report.at_ms, 0), LONG_AGO_MS))

    async def _is_gone(self, report: Report, caller: Caller, stream_id: str, place: Place, age_ms: int) -> bool:
        """Settles the report's lease, whichever worker gave it. Does the session hold no seat?"""
        ids = caller.user_id, caller.session_id, stream_id
        client = self._entrusted.client_of(caller.user_id, caller.session_id)
        ask = lease_for(caller.ask(*ids, client=client), place)
        if report.is_lost and self._entrusted.is_tried_again(ask):
            return False
        held = self._entrusted.settle(ask) if report.is_received or report.is_lost else None
        before = self._entrusted.settle_before(ask, place) if report.is_received else None
        if held is not None:
            receipt = receipt_of(held.lease, held.place, age_ms)
        else:
            session = await self._seen(ask)
            if session is None or (report.at_ms is not None and report.at_ms < session.started_at_ms):
                return session is None
            if before is not None and session.stream_id != stream_id:  # its edge asked once, and kept the yes
                receipt = receipt_of(before.lease, place, age_ms)
            else:
                receipt = _as_far_as_known(ask, place, session, age_ms)
        if report.is_received:
            verdict: Verdict = await resolved(self._limiter.confirm(receipt))
            return isinstance(verdict, Gone) and verdict.state is not State.ACTIVE
        if not report.is_lost:
            return False
        events: Events = await resolved(self._limiter.abandon(receipt.lease))
        return any(event.session.session_id == ask.session_id for event in events)

    async def _seen(self, ask: Ask) -> Session | None:
        """The session from the cache, where the store corrects it or does not answer; else from the store."""
        known = self._store.cache.recall(ask, time.monotonic())
        session = known.session if known is not None and known.session.generation else None
        if session is not None and self._store.spares:
            return session
        try:
            return (await resolved(self._store.sessions(ask.user_id))).find(ask.session_id)
        except StoreUnavailable:
            if session is None:
                raise
            return session


def _session_in(grant: str) -> str:
    """The grant without its play: all plays of a session are told in one order."""
    return grant.partition(MARK)[0]


def _is_free(stream: Stream | None, path: str) -> bool:
    return is_free(path) if stream is None else stream.classify(path) != "media"


def _as_far_as_known(ask: Ask, place: Place, session: Session, age_ms: int) -> Receipt:
    """The receipt for a lease of another worker, or a settled one.

    It does not move the session to another stream, and its place counts only if it is ahead: the client is not known.
    """
    is_here = session.stream_id == ask.stream_id
    lease = Lease(ask, session.generation, session.move if is_here else NO_MOVE, session.last_activity_ms or 0)
    is_ahead = place.sequence is not None and (session.sequence is None or place.sequence > session.sequence)
    if is_here and is_ahead:
        return receipt_of(lease, place, age_ms)
    return Receipt(lease, age_ms=age_ms)


def milliseconds(at: str | float) -> float:
    """The ms of the epoch for a time of RFC 3339 or in seconds of the epoch. Raises `ValueError`."""
    if isinstance(at, str):
        moment = datetime.fromisoformat(at.upper())
        if moment.tzinfo is None:
            raise ValueError("a time needs its offset")
        return moment.timestamp() * 1_000
    if not math.isfinite(at):
        raise ValueError("a time is a number")
    return at * 1_000
