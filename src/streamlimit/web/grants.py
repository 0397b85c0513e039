"""Grants: signed tokens that name a user and a session, short enough for a path. HS256 JWTs by joserfc.

A grant carries what its bearer may have been granted by others' tokens: a limit, the plan that it is of, the streams,
the device, the neighbourhood it counts in, and the generation of its session's seat, with which it dies.
"""

import hmac
import time
from hashlib import sha256
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from msgspec import Struct

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Device
from streamlimit.web.recent import Recent

MAX_GRANT = 8_192
"""Characters of a grant that is looked at."""

STREAMS_CARRIED = 16
DEVICE_CARRIED = 600
"""Bytes. A device described at more length is left out: the grant is part of every URL."""


class Grant(Struct, frozen=True):
    """What a grant says. `expires_at` in seconds of the epoch, to the ms; after it no new seat is given.

    `place`: a digest of the client's neighbourhood. None, of any of these: the grant does not say, all will do.
    """

    user_id: str
    session_id: str
    expires_at: float
    limit: int | None = None
    streams: frozenset[str] | None = None
    device: str | Device | None = None
    place: str | None = None
    generation: int | None = None
    plan: str | None = None

    def may_start(self, now_seconds: float) -> bool:
        """Expiry bounds starting only: a session with a seat is still issued its segments."""
        return now_seconds < self.expires_at


class BadGrant(Exception):
    """The text is no grant of ours."""


class Grants:
    """Signs with the first of *keys*, verifies with all of them. Without any nothing can be said of a grant yet."""

    def __init__(self, keys: list[str], seconds: float) -> None:
        self._keys: dict[str, OctKey] = {}
        self._seals: list[bytes] = []
        self._seconds = seconds
        self._verified: Recent[str, Grant] = Recent()
        self.learn(keys)

    @property
    def are_known(self) -> bool:
        """Are there keys to read grants by?"""
        return bool(self._keys)

    def learn(self, keys: list[str]) -> None:
        """From now on these are the keys."""
        self._keys = {_key_id(key): OctKey.import_key(key) for key in keys}
        self._seals = [b"streamlimit seal " + key.encode() for key in keys]
        self._verified.clear()

    def require_keys(self) -> None:
        """Raises `StoreUnavailable` where there are none yet: the store keeps them, and has not answered so far."""
        if not self._keys:
            raise StoreUnavailable("the key of grants has not been read from the store yet")

    def sign(self, user_id: str, session_id: str, **terms: Any) -> str:
        """A grant from now on. *terms*: the other fields of `Grant`."""
        return self.write(Grant(user_id, session_id, **({"expires_at": self.expiry()} | terms)))

    def expiry(self) -> float:
        """When a grant given now expires."""
        return round(time.time() + self._seconds, 3)

    def write(self, grant: Grant) -> str:
        """The grant, signed. Raises `StoreUnavailable` without keys."""
        self.require_keys()
        claims: dict[str, Any] = {"u": grant.user_id, "s": grant.session_id, "exp": grant.expires_at}
        more = {
            "l": grant.limit,
            "t": None if grant.streams is None else sorted(grant.streams),
            "d": _short(grant.device),
            "p": grant.place,
            "g": grant.generation,
            "n": grant.plan,
        }
        claims |= {name: value for name, value in more.items() if value is not None}
        signer, key = next(iter(self._keys.items()))
        return jwt.encode({"alg": "HS256", "kid": signer}, claims, key, default_type=None)

    def verify(self, text: str) -> Grant:
        """The grant in a token.

        Raises `BadGrant`, and `StoreUnavailable` without keys; an expired one is still read.
        """
        known = self._verified.get(text)
        if known is None:
            known = self.read(text)
            self._verified.put(text, known)
        return known

    def read(self, text: str) -> Grant:
        """As `verify`, for callers that remember what they read."""
        self.require_keys()
        if len(text) > MAX_GRANT:
            raise BadGrant("this is no grant of this service")
        try:
            claims = jwt.decode(text, self._find_key, algorithms=["HS256"]).claims
            return Grant(
                str(claims["u"]),
                str(claims["s"]),
                float(claims["exp"]),
                claims.get("l"),
                frozenset(claims["t"]) if "t" in claims else None,
                msgspec.convert(claims.get("d"), str | Device | None),
                claims.get("p"),
                claims.get("g"),
                claims.get("n"),
            )
        except (JoseError, KeyError, ValueError, TypeError, RecursionError) as error:
            raise BadGrant("this is no grant of this service") from error

    def seal(self, text: str) -> str:
        """Shows, behind *text*, that it is from here. 16 hexadecimal digits. Raises `StoreUnavailable` without keys."""
        self.require_keys()
        return _sealed(self._seals[0], text)

    def is_sealed(self, text: str, seal: str) -> bool:
        """Is *seal* one that was given for *text*? Raises `StoreUnavailable` without keys."""
        self.require_keys()
        return any(hmac.compare_digest(_sealed(key, text).encode(), seal.encode()) for key in self._seals)

    def _find_key(self, token: object) -> OctKey:
        headers = token.headers()  # type: ignore[attr-defined]
        return self._keys[str(headers.get("kid"))]


def streams_carried(streams: frozenset[str] | None, asked: str) -> frozenset[str] | None:
    """The streams that a grant names: all that are allowed, or where they are too many the *asked* one."""
    return streams if streams is None or len(streams) <= STREAMS_CARRIED else frozenset({asked})


def _short(device: str | Device | None) -> Any:
    plain = msgspec.to_builtins(device)
    return plain if len(msgspec.json.encode(plain)) <= DEVICE_CARRIED else None


def _sealed(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()[:16]


def _key_id(key: str) -> str:
    """Short and says nothing of the key."""
    return sha256(b"streamlimit grant key " + key.encode()).hexdigest()[:8]
