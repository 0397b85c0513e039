"""Plays, pauses and stops of sessions, as foreign protocols tell them by a grant. No bytes are ours."""

import time

from msgspec.structs import replace

from streamlimit.edge.pauses import Pauses
from streamlimit.errors import admission
from streamlimit.model import Admitted, Ask, Purpose, Session
from streamlimit.store.contract import resolved
from streamlimit.web.address import digest_of, place_of
from streamlimit.web.caller import Caller
from streamlimit.web.plays import new_play
from streamlimit.web.problems import CHALLENGE, Problem
from streamlimit.web.recent import Recent
from streamlimit.web.service import Service


class Seating:
    """Seats the sessions of foreign protocols for one worker. *address*: always the viewer's own; empty: unknown."""

    def __init__(self, service: Service) -> None:
        self._limiter, self._authenticator, self._store = service.limiter, service.authenticator, service.store
        self._streams = service.streams
        paused_seconds = service.settings.paused_seconds
        self._pauses = Pauses(service.limiter, service.policy.expiry_ms / 1_000, paused_seconds)
        self._players: Recent[str, str] = Recent()
        self._plays: Recent[str, int] = Recent()

    def identify(self, grant: str | None, address: str) -> Caller:
        """The session of a grant. Raises 401, and 403 where it was given to another address."""
        if not grant:
            raise Problem("unauthenticated", "the request carries no grant", headers=CHALLENGE)
        caller = self._authenticator.identify_grant(grant)
        if caller.place is not None:
            caller.require_place(place_of(address) if address else "")
        return caller

    async def plays(self, caller: Caller, stream_id: str, address: str) -> Admitted:
        """Admitted and confirmed at once, as a heartbeat. Raises `Refused`, 403 and 404."""
        ask = await self._ask(caller, stream_id, address, Purpose.LEASE)
        self._pauses.end(caller.user_id, caller.session_id)
        return admission(await resolved(self._limiter.beat(ask)), ask)

    async def pauses(self, caller: Caller, stream_id: str, address: str) -> Admitted:
        """The session pauses: its seat is left to run out, later by `paused_seconds`.

        Raises as `plays`, who would be refused now.
        """
        ask = await self._ask(caller, stream_id, address, Purpose.CHECK)
        admitted = await self._limiter.admitted(ask)
        await self._pauses.begin(ask, admitted.session)
        return admitted

    async def ends(self, caller: Caller) -> None:
        """The seat is free, and the grant goes on to be good."""
        await resolved(self._limiter.end(caller.user_id, caller.session_id, keep_grant=True))

    async def starts(self, caller: Caller, stream_id: str, address: str, player: str) -> Admitted:
        """As `plays`, by a new play of the session; *player* is the server's name for the connection."""
        play = new_play()
        admitted = await self.plays(replace(caller, play=play), stream_id, address)
        self._players.put(_key(caller), player)
        self._plays.put(f"{_key(caller)}/{player}", play)
        return admitted

    async def goes_on(self, caller: Caller, stream_id: str, address: str, player: str) -> Admitted:
        """As `plays`, by the play that began as *player*, where this worker has seen it (rule 8)."""
        play = self._plays.get(f"{_key(caller)}/{player}")
        return await self.plays(caller if play is None else replace(caller, play=play), stream_id, address)

    async def stops(self, caller: Caller, stream_id: str, player: str) -> bool:
        """*player* has left: the session ends, unless it has gone on to another stream or connection."""
        last = self._players.get(_key(caller))
        session = await self.seated(caller)
        if session is None or session.stream_id != stream_id or last not in (None, player):
            return False
        await self.ends(caller)
        return True

    async def seated(self, caller: Caller) -> Session | None:
        """The session that holds the caller's seat, as this worker knows it, else as the store does."""
        ids = caller.user_id, caller.session_id
        known = self._store.cache.recall(Ask(*ids, ""), time.monotonic())
        if known is not None:
            return known.session
        return (await resolved(self._store.sessions(caller.user_id))).find(caller.session_id)

    async def holds_seat(self, user_id: str, session_id: str) -> bool:
        """Does the session hold a seat, as the store says? Raises `StoreUnavailable`."""
        return (await resolved(self._store.sessions(user_id))).find(session_id) is not None

    async def _ask(self, caller: Caller, stream_id: str, address: str, purpose: Purpose) -> Ask:
        caller.require_stream(stream_id)
        await self._streams.look(stream_id)
        self._streams.require_beatable(stream_id)
        client = digest_of(address) if address else ""
        return Ask(caller.user_id, caller.session_id, stream_id, purpose, client=client, **caller.terms())


def _key(caller: Caller) -> str:
    return f"{caller.user_id}/{caller.session_id}"  # no id has a slash
