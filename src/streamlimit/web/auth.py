"""Who asks: callers and their rights, and which caller a credential (a key, a grant, a viewer's token) makes one."""

import hmac
import math
import time
from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import asdict

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Ask, Device, Purpose
from streamlimit.settings import key_hash
from streamlimit.web.grants import BadGrant, Grants
from streamlimit.web.identity import Identity, Verifier
from streamlimit.web.plans import Plans
from streamlimit.web.plays import BadPlay, split_play
from streamlimit.web.problems import CHALLENGE, Problem
from streamlimit.web.recent import Recent
from streamlimit.web.rights import RIGHTS, Role
from streamlimit.web.token_keys import BadToken, KeysUnavailable

KEYS_RETRY_SECONDS = 2

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


class Key(Struct, frozen=True, gc=False):
    """A key of a *role*. `hash`: `sha256:<hex>`; `name`: its owner, in logs and events."""

    hash: str
    role: Role
    name: str = ""


class Authenticator:
    """Identifies callers by their credential.

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
        self._known: Recent[bytes, Caller] = Recent()
        self._granted: Recent[str, Caller] = Recent()
        self._to_forget = [self._known.clear, self._granted.clear]  # a withdrawn key must be refused at once
        self.adopt(keys)
        if verifier is not None:
            verifier.keys.on_change.append(self._forget)

    def adopt(self, keys: Iterable[Key]) -> None:
        """Replaces the keys, and forgets identified callers: plans and keys of grants may have changed, too."""
        self._keys = list(keys)
        self._forget()

    def on_change(self, forget: Callable[[], None]) -> None:
        """Has *forget* called whenever credentials may have become invalid, or mean something else."""
        self._to_forget.append(forget)

    def recall(self, authorization: bytes | None) -> Caller | None:
        """The caller with this header, if it was identified before and is still remembered; else None."""
        if authorization is None:
            return self._uncredentialed
        known = self._known.get(authorization)
        return known if known is not None and (known.role != "viewer" or known.may_start) else None

    async def identify(self, authorization: bytes | None) -> Caller:
        """The caller with this `Authorization` header. Raises 401 for an unknown credential."""
        known = self.recall(authorization)
        if known is not None or authorization is None:
            return known or self._uncredentialed
        caller = await self._identify(authorization.decode("latin-1"))
        self._known.put(authorization, caller)
        return caller

    def identify_grant(self, token: str) -> Caller:
        """The caller of a grant, with or without a play behind it.

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
        except StoreUnavailable as error:  # a viewer's token needs no store; any other text may be a grant
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
        found = self._grants.verify(grant) if play else self._grants.read(grant)
        return Caller("grant", **asdict(found), play=play)

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
        return Caller("viewer", **asdict(identity) | {"limit": limit})

    def _key(self, token: str) -> Key | None:
        digest = key_hash("plain:" + token) if token.startswith("sha256:") else key_hash(token)
        found: Key | None = None  # a stored hash is no credential: it is hashed again, and matches nothing
        for known in self._keys:  # all of them, whichever matches: constant time
            if hmac.compare_digest(digest, known.hash):
                found = known
        return found


def _unauthenticated(detail: str) -> Problem:
    return Problem("unauthenticated", detail, headers=CHALLENGE)
