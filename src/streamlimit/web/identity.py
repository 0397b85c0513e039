"""Viewers by the platform's own tokens: JWTs, verified with the keys of token_keys.py."""

import binascii
import time
import warnings
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import Key
from msgspec import Struct

from streamlimit.ids import SLASHES_ENCODED, wrong_with_id
from streamlimit.settings import JwtSettings
from streamlimit.web.token_keys import BadToken, Header, Keys

MAX_TOKEN = 8_192
"""The longest token that is verified, in characters."""

LONG_PAST_ANY_TIME = 1e12
"""The greatest time (s of the epoch) that is accepted: Python reads NaN and infinity in JSON."""

warnings.filterwarnings("ignore", category=SecurityWarning, message="EdDSA is deprecated")  # providers still say so


class Identity(Struct, frozen=True):
    """The user of a token, its expiry (`expires_at`, seconds of the epoch), and its restrictions; None: none."""

    user_id: str
    expires_at: float
    limit: int | None = None
    plan: str | None = None
    streams: frozenset[str] | None = None


class Verifier:
    """Verifies tokens. Has no cache: callers have their own."""

    def __init__(self, settings: JwtSettings, keys: Keys, clock: Callable[[], float] = time.time) -> None:
        self._settings, self.keys, self._clock = settings, keys, clock

    async def verify(self, token: str) -> Identity:
        """The identity in a token. Raises `BadToken`, `KeysUnavailable`."""
        if len(token) > MAX_TOKEN:
            raise BadToken("the token is too long")
        header = _header(token)
        claims = _claims(token, await self.keys.find(header), header.alg)
        self._check(claims)
        return _identity(claims, self._settings)

    def _check(self, claims: dict[str, Any]) -> None:
        now, leeway = self._clock(), self._settings.leeway_seconds
        expires = _number(claims, "exp")
        if expires is None or now >= expires + leeway:
            raise BadToken("the token has expired" if expires is not None else "the token has no expiry")
        starts = _number(claims, "nbf")
        if starts is not None and now < starts - leeway:
            raise BadToken("the token is not valid yet")
        if self._settings.issuer is not None and claims.get("iss") != self._settings.issuer:
            raise BadToken("the token is of another issuer")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if self._settings.audience is not None and self._settings.audience not in audiences:
            raise BadToken("the token is for another audience")


def _header(token: str) -> Header:
    """The header of a token, which is not trusted before the signature is checked."""
    text = token.partition(".")[0]
    try:
        return msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Header)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise BadToken("this credential is not valid here") from error


def _claims(token: str, keys: list[Key], algorithm: str) -> dict[str, Any]:
    for key in keys:
        try:
            return jwt.decode(token, key, algorithms=[algorithm]).claims
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            continue
    raise BadToken("the token's signature is not valid here")


def _identity(claims: dict[str, Any], settings: JwtSettings) -> Identity:
    user = _user(claims.get(settings.user_claim), settings)
    limit, plan = claims.get(settings.limit_claim), claims.get(settings.plan_claim)
    streams = claims.get(settings.streams_claim)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 64):
        raise BadToken(f"the token's {settings.limit_claim} is no number from 1 to 64")
    if plan is not None and not isinstance(plan, str):
        raise BadToken(f"the token's {settings.plan_claim} is no text")
    if streams is not None and not (isinstance(streams, list) and all(isinstance(s, str) for s in streams)):
        raise BadToken(f"the token's {settings.streams_claim} is no list of texts")
    expires_at = float(claims["exp"]) + settings.leeway_seconds
    return Identity(user, expires_at, limit, plan, None if streams is None else frozenset(streams))


def _user(found: Any, settings: JwtSettings) -> str:
    """The user id in the claim *found*. RFC 7519 allows any text; slashes are encoded where the settings say so."""
    name = settings.user_claim
    if not isinstance(found, str):
        raise BadToken(f"the token has no {name}" if found is None else f"the token's {name} is no text")
    user = found.translate(SLASHES_ENCODED) if settings.encode_user else found
    wrong = wrong_with_id(user)
    if wrong is not None:
        raise BadToken(f"the token's {name} is no id of a user: it {wrong}")
    return user


def _number(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LONG_PAST_ANY_TIME:
        raise BadToken(f"the token's {name} is no number")
    return float(value)
