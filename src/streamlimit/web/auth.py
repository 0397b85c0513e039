"""Authentication: the caller with a credential, by keys, grants and tokens."""

import hmac
from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import asdict

from streamlimit.errors import StoreUnavailable
from streamlimit.settings import key_hash
from streamlimit.web.caller import Caller
from streamlimit.web.grants import BadGrant, Grants
from streamlimit.web.identity import Identity, Verifier
from streamlimit.web.plans import Plans
from streamlimit.web.plays import BadPlay, split_play
from streamlimit.web.problems import CHALLENGE, Problem
from streamlimit.web.recent import Recent
from streamlimit.web.rights import Role
from streamlimit.web.token_keys import BadToken, KeysUnavailable

KEYS_RETRY_SECONDS = 2


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
