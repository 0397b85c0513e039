"""The decision for edges: may the session receive the file? The edge moves the bytes."""

from msgspec import Struct
from msgspec.structs import replace

from streamlimit.delivery.entrusted import ask_at, lease_for
from streamlimit.delivery.naming import Place, is_free, place_in, place_of
from streamlimit.delivery.paths import is_safe, kind_by_suffix
from streamlimit.delivery.stream import Stream
from streamlimit.edge.grants import grants_beside
from streamlimit.edge.original import Original
from streamlimit.errors import UnknownSegment
from streamlimit.http.request import Request
from streamlimit.model import Admitted, Ask, Purpose, Session, State
from streamlimit.web.address import digest_at, place_at
from streamlimit.web.auth import Caller
from streamlimit.web.problems import CHALLENGE, Problem
from streamlimit.web.requested import PLAIN, Requested
from streamlimit.web.service import Service

LOOKS = frozenset({"HEAD", "OPTIONS"})
"""Methods without media: they neither seat nor confirm."""


class Yes(Struct, frozen=True):
    """The edge may hand the file out. `place` None: it is no media. `is_look`: no byte of it was asked for."""

    caller: Caller
    stream_id: str
    place: Place | None
    admitted: Admitted
    is_look: bool = False


class Decider:
    """Decides the requests of edges for one worker."""

    def __init__(self, service: Service) -> None:
        self._limiter, self._authenticator, self._streams = service.limiter, service.authenticator, service.streams
        self._entrusted, self._proxies = service.entrusted, service.proxies
        self._files = service.files

    async def decide(self, original: Original, method: str, request: Request) -> Yes:
        """The admission, with a seat reserved for media unless it is a look. Raises `Problem`, `Refused` and others.

        *request*: the edge's own; its client is the viewer.
        """
        caller = self._caller(original, request)
        await self._streams.look_for(original.stream_id, original.path)
        stream = self._streams.find(original.stream_id)
        place = None if original.is_folder else self._place(stream, original.path)
        is_look = method.upper() in LOOKS
        ids = caller.user_id, caller.session_id, original.stream_id
        ask = caller.ask(*ids, Purpose.CHECK, self._client(request))
        if place is None:
            return Yes(caller, original.stream_id, None, await self._limiter.admitted(ask), is_look)
        if is_look:
            return Yes(caller, original.stream_id, place, await self._looked(ask, place), is_look)
        return Yes(caller, original.stream_id, place, await self._reserved(ask, place, stream))

    async def _looked(self, check: Ask, place: Place) -> Admitted:
        """The admission of a look at the media at *place*, which neither seats nor confirms.

        Edges renew cached admissions by looks and report without addresses: of a session that plays, a report of this
        place is of this client, and so two players at two addresses are distinguished (rule 8).
        """
        admitted = await self._limiter.admitted(ask_at(place, check))
        lease, session = admitted.lease, admitted.session
        if lease is not None and session is not None and _plays(session, check.stream_id):
            self._entrusted.entrust(replace(lease, ask=lease_for(check, place)), place, is_look=True)
        return admitted

    async def _reserved(self, check: Ask, place: Place, stream: Stream | None) -> Admitted:
        ask = lease_for(check, place)
        await self._entrusted.confirm_before(ask, place, stream)
        admitted = await self._limiter.admitted(ask)
        if admitted.lease is not None:
            self._entrusted.entrust(admitted.lease, place)
        return admitted

    def _client(self, request: Request) -> str:
        """The digest of the viewer's address; empty where the edge does not state it."""
        return "" if self._proxies.ask_themselves(request) else digest_at(request.client)

    def _caller(self, original: Original, request: Request) -> Caller:
        """The caller by the grant of a request. Raises 401 and 403."""
        tokens = [original.grant] if original.grant else grants_beside(original.query, request)
        caller = self._first_of(tokens)
        caller.require_stream(original.stream_id)
        caller.require_place(place_at(request.client))
        return caller

    def _first_of(self, tokens: list[str]) -> Caller:
        """The caller by the first text that is a grant. Raises 401, of the first one."""
        wrong: Problem | None = None
        for token in tokens:
            try:
                return self._authenticator.identify_grant(token)
            except Problem as problem:
                wrong = wrong or problem
        raise wrong or Problem("unauthenticated", "the request carries no grant", headers=CHALLENGE)

    def _place(self, stream: Stream | None, path: str) -> Place | None:
        """The place of the file's segment; None: the file is free.

        Raises `UnknownSegment` where our stream has no such file.
        """
        if is_free(path) if stream is None else not self._is_media(stream, path):
            return None
        return media_at(stream, path)

    def _is_media(self, stream: Stream, path: str) -> bool:
        """Does the file take a seat? By its content; at an origin, by playlists and name."""
        if self._files is None:
            if not is_safe(path):
                raise UnknownSegment("it is no file of a stream")
            return stream.classify(path) == "media" or (path not in stream.files and not is_free(path))
        return Requested(PLAIN, stream, path, self._files.open(stream, path)).is_media


def _plays(session: Session, stream_id: str) -> bool:
    return session.state is State.ACTIVE and session.stream_id == stream_id


def media_at(stream: Stream | None, path: str) -> Place:
    """The place of the media file at *path*; a file of the catalog that is no segment has no number."""
    if stream is None:
        return place_of(path)
    segment = None if stream.is_single_file(path) else stream.find(path)
    return Place(path, path, kind_by_suffix(path), None) if segment is None else place_in(segment)
