"""Callers and their rights: a grant's session, a viewer by token, a back end, a reader, an operator, anyone."""

import math
import time

from msgspec import Struct

from streamlimit.model import Ask, Device, Purpose
from streamlimit.web.problems import CHALLENGE, Problem
from streamlimit.web.rights import RIGHTS, Role

_LEASE = Purpose.LEASE  # looked up once
NO_CREDENTIAL: frozenset[Role] = frozenset({"nobody", "anyone", "local"})
BOUND: frozenset[Role] = frozenset({"grant", "viewer"})
"""Roles bound to some sessions, and perhaps to some streams or one network."""


class Caller(Struct, frozen=True):
    """One caller. A grant speaks for one session of one user, a viewer for one user, the others for all.

    `expires_at` (seconds of the epoch): after it a grant starts nothing, and a viewer's token is worth nothing.
    The fields of a `Grant` have the same names here. `play`: what stood behind the grant.
    `name`: of a key's owner.
    """

    role: Role
    user_id: str = ""
    session_id: str = ""
    expires_at: float = math.inf
    limit: int | None = None
    streams: frozenset[str] | None = None
    device: str | Device | None = None
    place: str | None = None
    generation: int | None = None
    plan: str | None = None
    play: int = 0
    name: str = ""

    @property
    def may_start(self) -> bool:
        """May the caller still be given a new seat?"""
        return self.expires_at == math.inf or time.time() < self.expires_at

    def require(self, call: str) -> None:
        """Checks that the caller may do this call of `RIGHTS`.

        Raises 401 without a credential, 403 with one of another role.
        """
        if self.role in RIGHTS.get(call, ()):
            return
        if self.role in NO_CREDENTIAL:
            raise Problem("unauthenticated", "this call needs a credential", headers=CHALLENGE)
        raise Problem("forbidden", f"this call is not for a credential of your role ({self.role})")

    def require_session(self, user_id: str, session_id: str | None) -> None:
        """Checks that the caller may speak for this session (None: for any of the user's). Raises 403."""
        if self.role == "grant" and (self.user_id != user_id or session_id not in (None, self.session_id)):
            raise Problem("forbidden", "this grant is for another user or session")
        if self.role == "viewer" and self.user_id != user_id:
            raise Problem("forbidden", "this token is for another user")

    def require_stream(self, stream_id: str) -> None:
        """Checks that the caller may watch this stream. Raises 403."""
        if self.streams is not None and stream_id not in self.streams:
            raise Problem("forbidden", "this credential is for other streams")

    def require_own(self, user_id: str, session_id: str, stream_id: str, replace: str | None) -> None:
        """Checks session, stream and replacement of a `BOUND` caller: others may speak for every session."""
        self.require_session(user_id, session_id)
        if self.streams is not None:
            self.require_stream(stream_id)
        if replace is not None:
            self.require_replacement(replace)

    def require_place(self, place: str) -> None:
        """Checks that the client is where the grant was given. Raises 403."""
        if self.place is not None and self.place != place:
            raise Problem("forbidden", "this grant was given to another address; open the session again from here")

    def require_replacement(self, session_id: str | None) -> None:
        """Checks that the caller may choose this session to give way.

        The owner of the seats may; a shared playback URL may not.
        """
        if self.role == "grant" and session_id not in (None, self.session_id):
            raise Problem("forbidden", "a grant ends no other session; ask with the user's own credential")

    def ask(
        self,
        user_id: str,
        session_id: str,
        stream_id: str,
        purpose: Purpose = _LEASE,
        client: str = "",
        lease_id: str = "",
        *,
        device: str | Device | None = None,
        replace: str | None = None,
        plan: str | None = None,
        plan_limit: int | None = None,
        kind: str = "video",
        sequence: int | None = None,
        part: int = 0,
        wants_next: bool = False,
    ) -> Ask:
        """The question to the limiter: what the credential says goes before what the request says.

        Checks no right. *plan_limit*: the limit of *plan*, which the request names. The rest as in `Ask`.
        """
        may_start = self.expires_at == math.inf or time.time() < self.expires_at  # as the property, without its call
        return Ask(  # in its order: names would take as long again
            user_id,
            session_id,
            stream_id,
            purpose,
            lease_id,
            device if self.device is None else self.device,
            client,
            kind,
            sequence,
            replace,
            plan_limit if self.limit is None else self.limit,
            may_start,
            may_start and self.role == "grant",
            wants_next,
            self.generation,
            part,
            plan if self.plan is None else self.plan,
            self.play,
        )
