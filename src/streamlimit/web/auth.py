"""Callers, and what each may do: a grant's session, a viewer by token, a back end, a reader, an operator, anyone."""

import hmac
import math
import time
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from streamlimit.errors import StoreUnavailable
from streamlimit.logs import EventLog
from streamlimit.model import Device
from streamlimit.settings import key_hash
from streamlimit.web.grants import BadGrant, Grant, Grants
from streamlimit.web.identity import BadToken, Identity, KeysUnavailable, Verifier
from streamlimit.web.plays import BadPlay, split_play
from streamlimit.web.problems import CHALLENGE, Problem
from streamlimit.web.recent import Recent
from streamlimit.web.rights import RIGHTS, Role

log = EventLog("streamlimit.auth")

KEYS_RETRY_SECONDS = 2
UNKNOWN_PLANS_LOGGED = 100
NO_CREDENTIAL: frozenset[Role] = frozenset({"nobody", "anyone", "local"})


class Key(Struct, frozen=True, gc=False):
    """A key that opens calls for *role*. `hash`: `sha256:<hex>`; `name`: whose it is, as logs and events tell it."""

    hash: str
    role: Role
    name: str = ""


BOUND: frozenset[Role] = frozenset({"grant", "viewer"})
"""Roles that speak for some sessions alone, perhaps of some streams, or from one place."""


class Terms(Struct, frozen=True, gc=False):
    """Fields of an `Ask`, by the same names: what a credential says, or the request for it."""

    device: str | Device | None
    limit: int | None
    may_start: bool
    granted: bool
    grant_generation: int | None
    plan: str | None
    play: int


class Caller(Struct, frozen=True):
    """One caller. A grant speaks for one session of one user, a viewer for one user, the others for all.

    `expires_at` (seconds of the epoch): after it a grant starts nothing, and a viewer's token is worth nothing.
    `limit`, `streams`, `device`, `place`, `generation`, `plan`: as in `Grant`. `play`: what stood behind the grant.
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

    def terms(
        self, device: str | Device | None = None, plan_limit: int | None = None, plan: str | None = None
    ) -> Terms:
        """The terms for the `Ask`: what the credential says goes before what the request says."""
        may_start = self.may_start
        return Terms(
            device if self.device is None else self.device,
            plan_limit if self.limit is None else self.limit,
            may_start,
            may_start and self.role == "grant",
            self.generation,
            plan if self.plan is None else self.plan,
            self.play,
        )


class Plans:
    """Limits by plan."""

    def __init__(self, plans: Mapping[str, int]) -> None:
        self._plans, self._unknown = dict(plans), set[str]()

    @property
    def by_name(self) -> Mapping[str, int]:
        """All of them."""
        return self._plans

    def adopt(self, plans: Mapping[str, int]) -> None:
        """From now on these are the plans. (Who remembers a limit forgets it: `Authenticator.adopt`.)"""
        self._plans, self._unknown = dict(plans), set()

    def limit(self, plan: str | None) -> int | None:
        """The plan's limit. None where there is no such plan: the service's own holds, and the log says so once."""
        if plan is None:
            return None
        found = self._plans.get(plan)
        if found is None and plan not in self._unknown and len(self._unknown) < UNKNOWN_PLANS_LOGGED:
            self._unknown.add(plan)
            log.warning("unknown_plan", plan=plan[:128], note="max_sessions holds for its users")
        return found

    def limit_of(self, caller: Caller, plan: str | None) -> int | None:
        """The limit of the plan that a request names. Raises 403, for viewers do not choose their own, and `malformed`
        where there is no such plan: whoever wrote the request made a mistake.
        """
        if plan is None:
            return None
        if caller.role in ("grant", "viewer"):
            raise Problem("forbidden", "the plan is named by the token, or by a back end of the platform")
        if plan not in self._plans:
            raise Problem("malformed", "plan: there is no such plan in the settings", {"field": "plan"})
        return self._plans[plan]


class Authenticator:
    """Tells callers apart by their credential.

    *verifier*: of viewers' tokens (`auth = "jwt"`); without it *uncredentialed* is what a caller without
    a credential is.
    """

    def __init__(
        self,
        grants: Grants,
        keys: Iterable[Key],
        plans: Plans | None = None,
        verifier: Verifier | None = None,
        uncredentialed: Role = "anyone",
    ) -> None:
        self._grants, self._plans, self.verifier = grants, plans or Plans({}), verifier
        self._uncredentialed = Caller(uncredentialed)
        self._known: Recent[str, Caller] = Recent()
        self._granted: Recent[str, Caller] = Recent()
        self._to_forget = [self._known.clear, self._granted.clear]  # a key that was taken back opens nothing any more
        self.adopt(keys)
        if verifier is not None:
            verifier.keys.on_change.append(self._forget)

    def adopt(self, keys: Iterable[Key]) -> None:
        """From now on these are the keys; and plans and keys of grants may be others, too."""
        self._keys = list(keys)
        self._forget()

    def on_change(self, forget: Callable[[], None]) -> None:
        """*forget* is called whenever credentials that were good may be so no more, or mean something else."""
        self._to_forget.append(forget)

    def recall(self, authorization: str | None) -> Caller | None:
        """The caller with this header, if it was identified lately; None for all others."""
        if authorization is None:
            return self._uncredentialed
        known = self._known.get(authorization)
        return known if known is not None and (known.role != "viewer" or known.may_start) else None

    async def identify(self, authorization: str | None) -> Caller:
        """The caller with this `Authorization` header. Raises 401 for a credential that is none of ours."""
        known = self.recall(authorization)
        if known is not None or authorization is None:
            return known or self._uncredentialed
        caller = await self._identify(authorization)
        self._known.put(authorization, caller)
        return caller

    def identify_grant(self, token: str) -> Caller:
        """The session that a grant speaks for, a play behind it or not.

        Raises 401, and `StoreUnavailable` as long as no grant can be read.
        """
        known = self._granted.get(token)
        if known is not None:
            return known
        try:
            caller = self._read(token)
        except BadGrant as error:
            raise _unauthenticated("this credential is not valid here") from error
        self._granted.put(token, caller)
        return caller

    def _forget(self) -> None:
        for forget in self._to_forget:
            forget()

    async def _identify(self, authorization: str) -> Caller:
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _unauthenticated("give the credential as 'Authorization: Bearer …'")
        key = self._key(token)
        if key is not None:
            return Caller(key.role, name=key.name)
        if self.verifier is None:
            return self.identify_grant(token)
        try:
            return self._read(token)
        except BadGrant:
            return self._viewer(await self._verified(self.verifier, token))
        except StoreUnavailable as error:  # what is a viewer's token is one without the store; all else may be a grant
            try:
                return self._viewer(await self._verified(self.verifier, token))
            except Problem:
                raise error from None

    def _read(self, token: str) -> Caller:
        """The caller with this grant. Raises `BadGrant` and `StoreUnavailable`."""
        try:
            grant, play = split_play(token)
        except BadPlay as error:
            raise BadGrant(str(error)) from error
        return _granted(self._grants.verify(grant) if play else self._grants.read(grant), play)

    async def _verified(self, verifier: Verifier, token: str) -> Identity:
        try:
            return await verifier.verify(token)
        except BadToken as error:
            raise _unauthenticated(str(error)) from error
        except KeysUnavailable as error:
            headers = {"Retry-After": str(KEYS_RETRY_SECONDS)}
            raise Problem("identity-unavailable", "tokens cannot be verified; try again", headers=headers) from error

    def _viewer(self, identity: Identity) -> Caller:
        limit = self._plans.limit(identity.plan) if identity.limit is None else identity.limit
        return Caller(
            "viewer",
            identity.user_id,
            expires_at=identity.expires_at,
            limit=limit,
            streams=identity.streams,
            plan=identity.plan,
        )

    def _key(self, token: str) -> Key | None:
        digest = key_hash("plain:" + token) if token.startswith("sha256:") else key_hash(token)
        found: Key | None = None  # a stored hash is no credential: it is hashed again, and matches nothing
        for known in self._keys:  # all of them, whichever matches: constant time
            if hmac.compare_digest(digest, known.hash):
                found = known
        return found


def _granted(grant: Grant, play: int) -> Caller:
    return Caller(
        "grant",
        grant.user_id,
        grant.session_id,
        grant.expires_at,
        grant.limit,
        grant.streams,
        grant.device,
        grant.place,
        grant.generation,
        grant.plan,
        play,
    )


def _unauthenticated(detail: str) -> Problem:
    return Problem("unauthenticated", detail, headers=CHALLENGE)
