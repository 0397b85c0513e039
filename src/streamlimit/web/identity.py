"""Viewers by the platform's own tokens: JWTs, verified with keys of its identity provider (JWKS) or a shared secret.

A verified token is remembered until it expires, so a viewer's next request costs a look-up. Keys are fetched
again when they are old or a token names an unknown one; while the provider is away, those at hand stay valid.
"""

import time
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError, SecurityWarning
from joserfc.jwk import KeySet, OctKey
from msgspec import Struct

from streamlimit.settings import JwtSettings

ASYMMETRIC = ["RS256", "ES256", "EdDSA", "Ed25519"]
SYMMETRIC = ["HS256"]
"""Never both at once: a public key cannot be passed off as a shared secret, and `none` is in neither."""

CACHED = 65_536
MAX_TOKEN = 8_192
"""Characters of a token that is looked at."""

FETCH_SECONDS = 5.0
UNKNOWN_KEY_SECONDS = 10.0
"""A token that names an unknown key makes us fetch at most so often."""

warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)  # providers still call it so

log = structlog.get_logger("streamlimit.identity")


class Identity(Struct, frozen=True):
    """Who a token speaks for, until `expires_at` (seconds of the epoch), and what it allows. None: no word of it."""

    user_id: str
    expires_at: float
    limit: int | None = None
    plan: str | None = None
    streams: frozenset[str] | None = None


class BadToken(Exception):
    """The text is no token that counts here; says why in words fit for a viewer."""


class UnknownKey(Exception):
    """The token names a key that is not at hand."""


class Keys:
    """The provider's public keys, or one shared secret. *fetch* brings a JWKS document."""

    def __init__(
        self,
        settings: JwtSettings,
        fetch: Callable[[str], Awaitable[Any]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._fetch, self._clock = settings, fetch or fetch_jwks, clock
        self._known: KeySet | OctKey | None = None
        self._fetched_at = self._tried_at = float("-inf")
        if settings.secret_file is not None:
            self._known = OctKey.import_key(settings.secret_file.read_text().strip())
        self.algorithms = SYMMETRIC if settings.secret_file is not None else ASYMMETRIC

    def find(self) -> KeySet | OctKey:
        """What is at hand. Raises `UnknownKey` before the first fetch."""
        if self._known is None:
            raise UnknownKey
        return self._known

    @property
    def are_old(self) -> bool:
        """Time for another fetch, though these still count."""
        return self._settings.jwks_url is not None and (
            self._clock() - self._fetched_at > self._settings.jwks_seconds
        )

    async def refresh(self, every_seconds: float = UNKNOWN_KEY_SECONDS) -> None:
        """Fetches the keys, not more often than *every_seconds*. A failure leaves what is at hand."""
        now = self._clock()
        if self._settings.jwks_url is None or now - self._tried_at < every_seconds:
            return
        self._tried_at = now
        try:
            self._known = _public(await self._fetch(self._settings.jwks_url))
            self._fetched_at = now
        except (httpx.HTTPError, ValueError, KeyError, TypeError, JoseError) as error:
            problem = f"{type(error).__name__}: {error}"
            log.warning("jwks_unavailable", problem=problem, keys_at_hand=self._known is not None)


class Verifier:
    """Turns tokens into identities."""

    def __init__(self, settings: JwtSettings, keys: Keys, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._keys, self._clock = settings, keys, clock
        self._verified: dict[str, Identity] = {}

    def recall(self, token: str) -> Identity | None:
        """The identity of a token verified before, if it has not expired."""
        known = self._verified.get(token)
        return known if known is not None and self._clock() < known.expires_at else None

    async def verify(self, token: str) -> Identity:
        """Who the token speaks for. Raises `BadToken`."""
        if len(token) > MAX_TOKEN:
            raise BadToken("the token is too long")
        if self._keys.are_old:
            await self._keys.refresh()
        try:
            identity = self._read(token)
        except UnknownKey:
            await self._keys.refresh()
            try:
                identity = self._read(token)
            except UnknownKey as error:
                raise BadToken("the token's key is not known") from error
        if len(self._verified) >= CACHED:
            self._verified.clear()
        self._verified[token] = identity
        return identity

    def _read(self, token: str) -> Identity:
        try:
            claims = jwt.decode(token, self._keys.find(), algorithms=self._keys.algorithms).claims
        except InvalidKeyIdError as error:
            raise UnknownKey from error
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise BadToken("the token's signature or form is not valid") from error
        self._check(claims)
        return _identity(claims, self._settings)

    def _check(self, claims: dict[str, Any]) -> None:
        now, leeway = self._clock(), self._settings.leeway_seconds
        expires = _number(claims, "exp")
        if expires is None or now > expires + leeway:
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


async def fetch_jwks(url: str) -> Any:
    """The JWKS document at *url*."""
    async with httpx.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False) as client:
        response = await client.get(url)
        response.raise_for_status()
        return response.json()


def _public(document: Any) -> KeySet:
    """The asymmetric keys of a JWKS: a symmetric one has no place in public."""
    keys = [key for key in document["keys"] if key.get("kty") in ("RSA", "EC", "OKP")]
    return KeySet.import_key_set({"keys": keys})


def _identity(claims: dict[str, Any], settings: JwtSettings) -> Identity:
    user = claims.get(settings.user_claim)
    if not isinstance(user, str):
        raise BadToken(f"the token has no {settings.user_claim}")
    limit, plan = claims.get(settings.limit_claim), claims.get(settings.plan_claim)
    streams = claims.get(settings.streams_claim)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 64):
        raise BadToken(f"the token's {settings.limit_claim} is no number from 1 to 64")
    if plan is not None and not isinstance(plan, str):
        raise BadToken(f"the token's {settings.plan_claim} is no text")
    if streams is not None and not (isinstance(streams, list) and all(isinstance(s, str) for s in streams)):
        raise BadToken(f"the token's {settings.streams_claim} is no list of texts")
    return Identity(
        user,
        float(claims["exp"]) + settings.leeway_seconds,
        limit,
        plan,
        None if streams is None else frozenset(streams),
    )


def _number(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadToken(f"the token's {name} is no number")
    return float(value)
