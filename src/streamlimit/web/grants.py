"""Grants: signed tokens that name a user and a session, short enough for a path. HS256 JWTs by joserfc."""

import time
from hashlib import sha256

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from msgspec import Struct

CACHED = 65_536
"""Verified grants remembered; when there are more, all are forgotten and verified anew."""


class Grant(Struct, frozen=True):
    """What a grant says. `expires_at` in seconds of the epoch, to the ms; after it no new seat is given."""

    user_id: str
    session_id: str
    expires_at: float

    def may_start(self, now_seconds: float) -> bool:
        """Expiry bounds starting only: a session that sits is still issued its segments."""
        return now_seconds < self.expires_at


class BadGrant(Exception):
    """The text is no grant of ours."""


class Grants:
    """Signs with the first of *keys*, verifies with all of them."""

    def __init__(self, keys: list[str], seconds: float) -> None:
        self._keys = {_key_id(key): OctKey.import_key(key) for key in keys}
        self._signer = _key_id(keys[0])
        self._seconds = seconds
        self._verified: dict[str, Grant] = {}

    def sign(self, user_id: str, session_id: str) -> str:
        """A grant from now on."""
        claims = {"u": user_id, "s": session_id, "exp": round(time.time() + self._seconds, 3)}
        return jwt.encode({"alg": "HS256", "kid": self._signer}, claims, self._keys[self._signer])

    def verify(self, text: str) -> Grant:
        """What the grant says. Raises `BadGrant`; an expired one is still read."""
        known = self._verified.get(text)
        if known is None:
            known = self._read(text)
            if len(self._verified) >= CACHED:
                self._verified.clear()
            self._verified[text] = known
        return known

    def _read(self, text: str) -> Grant:
        try:
            token = jwt.decode(text, self._find_key, algorithms=["HS256"])
            claims = token.claims
            return Grant(str(claims["u"]), str(claims["s"]), float(claims["exp"]))
        except (JoseError, KeyError, ValueError, TypeError, UnicodeError) as error:
            raise BadGrant("this is no grant of this service") from error

    def _find_key(self, token: object) -> OctKey:
        headers = token.headers()  # type: ignore[attr-defined]
        return self._keys[str(headers.get("kid"))]


def _key_id(key: str) -> str:
    """Short and says nothing of the key."""
    return sha256(b"streamlimit grant key " + key.encode()).hexdigest()[:8]
