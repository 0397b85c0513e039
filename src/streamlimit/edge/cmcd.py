"""`POST /edge/cmcd/<grant>`: event reports of players (hls.js, Shaka, dash.js) are heartbeats, pauses and ends.

`sid` is the player's own name for a play, and not the session id: the grant names the session.
"""

from msgspec.structs import replace

from streamlimit.edge.cmcd_report import Report, Says, reports_in
from streamlimit.edge.seating import Seating
from streamlimit.errors import Refused
from streamlimit.http.request import Request
from streamlimit.model import Admitted
from streamlimit.web.auth import Caller
from streamlimit.web.headers import reservations
from streamlimit.web.incoming import bare_kind, body_of, require_method
from streamlimit.web.outgoing import Reply
from streamlimit.web.problems import Problem

PREFIX = "/edge/cmcd/"
KINDS = ("application/cmcd", "text/cmcd", None)
GONE = frozenset({"grant-ended", "grant-expired"})
"""Refusals after which no report of this grant counts: the answer 410 makes the player stop sending."""


class Cmcd:
    """The handler of players' CMCD reports; errors are raised, not sent."""

    def __init__(self, seating: Seating) -> None:
        self._seating = seating

    async def __call__(self, request: Request) -> Reply:
        grant = request.path.removeprefix(PREFIX)
        if not request.path.startswith(PREFIX) or not grant or "/" in grant:
            raise Problem("not-found", "reports go to /edge/cmcd/<grant>")
        require_method(request, "POST")
        if bare_kind(request.header(b"content-type")) not in KINDS:
            raise Problem("unsupported-media-type", "send application/cmcd")
        address = request.client[0] if request.client else ""
        caller = self._seating.identify(grant, address)
        reports = reports_in(body_of(request))
        try:
            return await self._take(reports, caller, address)
        except Refused as error:
            if error.refusal.code not in GONE:
                raise
            return Reply(410)

    async def _take(self, reports: list[Report], caller: Caller, address: str) -> Reply:
        """Counts the reports. Raises `Refused` and other problems."""
        headers: dict[str, str] = {}
        for report in reports:
            if report.says is Says.ENDS:
                await self._seating.ends(caller, None if report.is_last else report.cid)
                continue
            if report.says is Says.WAITS and await self._seating.seated(caller) is None:
                continue  # a report keeps a seat, but takes none
            stream_id = report.cid or await self._stream_of(caller)
            if stream_id is None:
                return Reply(410)
            try:
                headers = reservations(await self._note(report, caller, stream_id, address))
            except Refused as error:
                if report.says is not Says.WAITS or error.refusal.code != "grant-expired":
                    raise  # else the session has just lost its seat
        return Reply(204, headers)

    async def _note(self, report: Report, caller: Caller, stream_id: str, address: str) -> Admitted:
        if report.says is Says.PAUSES:
            return await self._seating.pauses(caller, stream_id, address)
        if report.says is Says.WAITS:
            caller = replace(caller, expires_at=0.0)  # which starts nothing
        return await self._seating.plays(caller, stream_id, address)

    async def _stream_of(self, caller: Caller) -> str | None:
        """The stream for a report without `cid`: the session's present one, else the only one of the grant."""
        session = await self._seating.seated(caller)
        if session is not None:
            return session.stream_id
        return next(iter(caller.streams)) if caller.streams is not None and len(caller.streams) == 1 else None
