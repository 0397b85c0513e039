"""Playing, pausing and stopping of sessions by foreign protocols, identified by a grant. Delivers no bytes."""

import time
from hashlib import blake2b

from msgspec.structs import replace

from streamlimit.edge.holding import Holding
from streamlimit.edge.pauses import Pauses
from streamlimit.errors import StoreUnavailable, admission
from streamlimit.model import Admitted, Ask, Purpose, Session
from streamlimit.store.contract import resolved
from streamlimit.web.address import digest_of, place_of
from streamlimit.web.auth import Caller
from streamlimit.web.plays import RANDOM_BITS, new_play
from streamlimit.web.problems import CHALLENGE, Problem
from streamlimit.web.recent import Recent
from streamlimit.web.service import Service

PLAYERS = 1 << RANDOM_BITS
"""The number of digests of players: the random part of a play."""


class Seating:
    """Seats the sessions of foreign protocols. *address*, in all methods: the viewer's own; empty: unknown."""

    def __init__(self, service: Service) -> None:
        self._limiter, self._authenticator, self._store = service.limiter, service.authenticator, service.store
        self._streams = service.streams
        paused_seconds = service.settings.paused_seconds
        self._pauses = Pauses(service.limiter, service.policy.expiry_ms / 1_000, paused_seconds)
        self._players: Recent[str, str] = Recent()
        self._plays: Recent[str, int] = Recent()

    def identify(self, grant: str | None, address: str) -> Caller:
        """The caller by *grant*. Raises 401, and 403 where it was given to another network."""
        if not grant:
            raise Problem("unauthenticated", "the request carries no grant", headers=CHALLENGE)
        caller = self._authenticator.identify_grant(grant)
        if caller.place is not None:
            caller.require_place(place_of(address) if address else "")
        return caller

    async def plays(self, caller: Caller, stream_id: str, address: str) -> Admitted:
        """Admits and confirms the session at once, as a heartbeat does. Raises `Refused`, 403 and 404."""
        ask = await self._ask(caller, stream_id, address, Purpose.LEASE)
        self._pauses.end(caller.user_id, caller.session_id)
        return admission(await resolved(self._limiter.beat(ask)), ask)

    async def pauses(self, caller: Caller, stream_id: str, address: str) -> Admitted:
        """Pauses the session: its seat expires `paused_seconds` later. Raises as `plays`."""
        ask = await self._ask(caller, stream_id, address, Purpose.CHECK)
        admitted = await self._limiter.admitted(ask)
        await self._pauses.begin(ask, admitted.session)
        return admitted

    async def ends(self, caller: Caller, stream_id: str | None = None) -> None:
        """Ends the session: the seat is free, and the grant stays valid.

        With *stream_id* unless the session has moved to another stream: what is late ends nothing.
        """
        if stream_id is not None and (session := await self._present(caller)) and session.stream_id != stream_id:
            return
        self._pauses.end(caller.user_id, caller.session_id)
        await resolved(self._limiter.end(caller.user_id, caller.session_id, keep_grant=True))

    async def starts(self, caller: Caller, stream_id: str, address: str, player: str) -> Admitted:
        """As `plays`, with a new play; *player* is the server's id of the connection.

        The play holds a digest of *player*, so that every worker can tell whose it is.
        """
        play = new_play() // PLAYERS * PLAYERS + _digest_of(player)
        admitted = await self.plays(replace(caller, play=play), stream_id, address)
        self._players.put(_key(caller), player)
        self._plays.put(f"{_key(caller)}/{player}", play)
        return admitted

    async def goes_on(self, caller: Caller, stream_id: str, address: str, player: str) -> Admitted:
        """As `plays`, with the play that began as *player*, if this worker knows it (rule 8)."""
        play = self._plays.get(f"{_key(caller)}/{player}")
        return await self.plays(caller if play is None else replace(caller, play=play), stream_id, address)

    async def stops(self, caller: Caller, stream_id: str, player: str, holding: Holding | None = None) -> None:
        """Ends the session of *player*, who has left, unless it has moved to another stream or connection.

        The store is asked, for another worker may have been told that it began. A seat that *holding* keeps for
        *player* is kept no longer, also where the store does not answer.
        """
        ids = caller.user_id, caller.session_id
        if holding is not None and self._players.get(_key(caller)) == player and holding.stream_of(*ids) == stream_id:
            holding.let_go(*ids)
        session = await self._present(caller)
        if session is None or session.stream_id != stream_id or not self._is_of(session, caller, player):
            return
        if holding is not None:
            holding.let_go(*ids)
        await self.ends(caller)

    def _is_of(self, session: Session, caller: Caller, player: str) -> bool:
        """Is *player* the session's present one? Its play says so, or else this worker's memory."""
        if session.play:
            return session.play % PLAYERS == _digest_of(player)
        return self._players.get(_key(caller)) in (None, player)

    async def seated(self, caller: Caller) -> Session | None:
        """The caller's session with a seat; None: it has none.

        From the cache, where the store's verdict on its next heartbeat corrects it, or where the store does not answer.
        """
        known = self._store.cache.recall(Ask(caller.user_id, caller.session_id, ""), time.monotonic())
        if known is not None and self._store.spares:
            return known.session
        try:
            return await self._present(caller)
        except StoreUnavailable:
            if known is None:
                raise
            return known.session

    async def _present(self, caller: Caller) -> Session | None:
        """The caller's session with a seat, by the store, for another worker may know better than the cache."""
        return (await resolved(self._store.sessions(caller.user_id))).find(caller.session_id)

    async def holds_seat(self, user_id: str, session_id: str) -> bool:
        """Does the session hold a seat, by the store? Raises `StoreUnavailable`."""
        return (await resolved(self._store.sessions(user_id))).find(session_id) is not None

    async def _ask(self, caller: Caller, stream_id: str, address: str, purpose: Purpose) -> Ask:
        caller.require_stream(stream_id)
        await self._streams.look(stream_id)
        self._streams.require_beatable(stream_id)
        client = digest_of(address) if address else ""
        return caller.ask(caller.user_id, caller.session_id, stream_id, purpose, client)


def _key(caller: Caller) -> str:
    return f"{caller.user_id}/{caller.session_id}"  # no id has a slash


def _digest_of(player: str) -> int:
    return int.from_bytes(blake2b(player.encode(), digest_size=2).digest()) % PLAYERS
