"""Who asks: anyone, a grant's session, or an operator. Knows nothing of what they may do with streams."""

import hmac
from hashlib import sha256
from typing import Literal

from msgspec import Struct

from streamlimit.web.grants import BadGrant, Grants
from streamlimit.web.problems import CHALLENGE, Problem


class Caller(Struct, frozen=True):
    """One caller. A grant speaks for one session of one user, an operator for all."""

    role: Literal["anyone", "grant", "operator"]
    user_id: str = ""
    session_id: str = ""
    may_start: bool = True

    @property
    def is_granted(self) -> bool:
        """It holds a grant that may start a session."""
        return self.role == "grant" and self.may_start

    def require_session(self, user_id: str, session_id: str | None) -> None:
        """May it speak for this session (None: for any of the user's)? Raises 403."""
        if self.role == "grant" and (self.user_id != user_id or session_id not in (None, self.session_id)):
            raise Problem("forbidden", "this grant is for another user or session")

    def require_operator(self) -> None:
        """Raises 401 without a credential, 403 with a viewer's."""
        if self.role == "anyone":
            raise Problem("unauthenticated", "this call needs an operator key", headers=CHALLENGE)
        if self.role != "operator":
            raise Problem("forbidden", "this call needs an operator key, not a viewer's grant")


    def require_reader(self) -> None:
        """May it look at everything? Raises as `require_operator`."""
        self.require_operator()


ANYONE = Caller("anyone")


class Doorman:
    """Tells callers apart by their `Authorization` header. *operator_keys*: plain or `sha256:<hex>`."""

    def __init__(self, grants: Grants, operator_keys: list[str]) -> None:
        self._grants = grants
        self._operators = [key_hash(key) for key in operator_keys]

    def identify(self, authorization: str | None, now_seconds: float) -> Caller:
        """The caller. Raises 401 for a credential that is none of ours."""
        if authorization is None:
            return ANYONE
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Problem(
                "unauthenticated", "give the credential as 'Authorization: Bearer …'", headers=CHALLENGE
            )
        if self._is_operator(token):
            return Caller("operator")
        return self.identify_grant(token, now_seconds)

    def identify_grant(self, token: str, now_seconds: float) -> Caller:
        """The session that a grant speaks for. Raises 401."""
        try:
            grant = self._grants.verify(token)
        except BadGrant as error:
            raise Problem(
                "unauthenticated", "this credential is not valid here", headers=CHALLENGE
            ) from error
        return Caller("grant", grant.user_id, grant.session_id, grant.may_start(now_seconds))

    def _is_operator(self, token: str) -> bool:
        digest = _hashed(token)  # always hashed: a stored hash is no credential
        return sum(hmac.compare_digest(digest, known) for known in self._operators) > 0  # all: constant time


def key_hash(key: str) -> str:
    """`sha256:<hex>` of a plain key from the settings; a hashed one as it is."""
    return key if key.startswith("sha256:") else _hashed(key)


def _hashed(text: str) -> str:
    return "sha256:" + sha256(text.encode()).hexdigest()
