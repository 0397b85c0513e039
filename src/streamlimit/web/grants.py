"""Grants: signed tokens that name a user and a session, short enough for a path. HS256 JWTs by joserfc.

A grant also carries terms: a limit and its plan, the streams, the device, the client's network, and the generation of
its session's seat, with which it ends.
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
from msgspec.structs import replace

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Device
from streamlimit.web.recent import Recent

MAX_GRANT = 8_192
"""The longest text that is verified, in characters."""

STREAMS_CARRIED = 16
DEVICE_CARRIED = 600
"""Bytes; of a longer device description parts are left out, for the grant is part of every URL."""


CLAIMS = {
    "user_id": "u",
    "session_id": "s",
    "expires_at": "exp",
    "limit": "l",
    "streams": "t",
    "device": "d",
    "place": "p",
    "generation": "g",
    "plan": "n",
}
"""How a grant's token spells its fields."""


class Grant(Struct, frozen=True, omit_defaults=True, rename=CLAIMS):
    """The content of a grant. `expires_at` in seconds of the epoch, to the ms: it bounds starting, not going on.

    `place`: a digest of the client's network. A field that is None restricts nothing.
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


class BadGrant(Exception):
    """The text is not a grant of this service."""


class Grants:
    """Signs grants with the first of *keys*, verifies them with all. Without keys neither is possible yet."""

    def __init__(self, keys: list[str], seconds: float) -> None:
        self.texts: list[str] = []
        """The keys, as they were learnt."""
        self._keys: dict[str, OctKey] = {}
        self._seals: list[bytes] = []
        self._seconds = seconds
        self._verified: Recent[str, Grant] = Recent()
        self.learn(keys)

    @property
    def are_known(self) -> bool:
        """Are there keys?"""
        return bool(self._keys)

    def learn(self, keys: list[str]) -> None:
        """Replaces the keys."""
        self.texts = keys
        self._keys = {_key_id(key): OctKey.import_key(key) for key in keys}
        self._seals = [b"streamlimit seal " + key.encode() for key in keys]
        self._verified.clear()

    def require_keys(self) -> None:
        """Raises `StoreUnavailable` where the store has not yet given the key."""
        if not self._keys:
            raise StoreUnavailable("the key of grants has not been read from the store yet")

    def sign(self, user_id: str, session_id: str, **terms: Any) -> str:
        """A signed grant, valid from now on. *terms*: the other fields of `Grant`."""
        return self.write(Grant(user_id, session_id, **({"expires_at": self.expiry()} | terms)))

    def expiry(self) -> float:
        """The expiry of a grant given now, in seconds of the epoch."""
        return round(time.time() + self._seconds, 3)

    def write(self, grant: Grant) -> str:
        """The grant as a signed token. Raises `StoreUnavailable` without keys."""
        self.require_keys()
        if len(msgspec.json.encode(grant.device)) > DEVICE_CARRIED:
            grant = replace(grant, device=_shortened(grant.device))
        claims = msgspec.to_builtins(grant, order="deterministic")
        signer, key = next(iter(self._keys.items()))
        return jwt.encode({"alg": "HS256", "kid": signer}, claims, key, default_type=None)

    def verify(self, text: str) -> Grant:
        """The grant in the token *text*.

        Raises `BadGrant`, and `StoreUnavailable` without keys; an expired one is still read.
        """
        known = self._verified.get(text)
        if known is None:
            known = self.read(text)
            self._verified.put(text, known)
        return known

    def read(self, text: str) -> Grant:
        """As `verify`, without a cache: for callers that have their own."""
        self.require_keys()
        if len(text) > MAX_GRANT:
            raise BadGrant("this is no grant of this service")
        try:
            claims = jwt.decode(text, self._find_key, algorithms=["HS256"]).claims
            return msgspec.convert(claims, Grant)
        except (JoseError, msgspec.MsgspecError, KeyError, ValueError, TypeError, RecursionError) as error:
            raise BadGrant("this is no grant of this service") from error

    def seal(self, text: str) -> str:
        """A signature of *text*: 16 hexadecimal digits. Raises `StoreUnavailable` without keys."""
        self.require_keys()
        return _sealed(self._seals[0], text)

    def is_sealed(self, text: str, seal: str) -> bool:
        """Is *seal* the signature of *text*? Raises `StoreUnavailable` without keys."""
        self.require_keys()
        return any(hmac.compare_digest(_sealed(key, text).encode(), seal.encode()) for key in self._seals)

    def _find_key(self, token: object) -> OctKey:
        headers = token.headers()  # type: ignore[attr-defined]
        return self._keys[str(headers.get("kid"))]


def streams_carried(streams: frozenset[str] | None, asked: str) -> frozenset[str] | None:
    """The streams that a grant names: all allowed ones or, where these are too many, the *asked* one."""
    return streams if streams is None or len(streams) <= STREAMS_CARRIED else frozenset({asked})


def _shortened(device: str | Device | None) -> Device | None:
    """As much of a too long *device* as a grant carries: id and type, by which rules count it, else its type alone."""
    if not isinstance(device, Device):
        return None
    shorter = replace(device, name=None), Device(type=device.type)
    return next((each for each in shorter if len(msgspec.json.encode(each)) <= DEVICE_CARRIED), None)


def _sealed(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()[:16]


def _key_id(key: str) -> str:
    """A short id of *key*, from which the key cannot be derived."""
    return sha256(b"streamlimit grant key " + key.encode()).hexdigest()[:8]
