"""The keys that verify viewers' tokens: public keys of an identity provider (JWKS), or one shared secret.

Public keys are fetched in the background, so that no viewer waits for the provider; a token that names an unknown key
starts a fetch at once. While the provider is unavailable, known keys are used for `jwks_stale_seconds`.
"""

import asyncio
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from itertools import chain
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from msgspec import Struct

from streamlimit.logs import EventLog
from streamlimit.settings import JwtSettings

KINDS: dict[str, type[Key]] = {"RS256": RSAKey, "ES256": ECKey, "EdDSA": OKPKey, "Ed25519": OKPKey}
"""Algorithms of public keys. HS256 and `none` are not among them, so a public key cannot be used as a secret."""

PUBLIC_PARTS = frozenset({"kty", "kid", "alg", "use", "n", "e", "crv", "x", "y"})

MAX_KEYS = 100
MAX_JWKS = 1_000_000

FETCH_SECONDS = 5.0
AWAY_SECONDS = 10.0
"""The pause before the next fetch after a failed one, or for an unknown key."""

log = EventLog("streamlimit.identity")


class BadToken(Exception):
    """The text is not a valid token; the message says why, in words for a viewer."""


class KeysUnavailable(Exception):
    """There are no keys to verify a token."""


class Header(Struct):
    """The fields of a token's header that choose the key."""

    alg: str
    kid: str | None = None


class Keys:
    """The provider's public keys, or one shared secret. *fetch* gets a JWKS; *on_change* is called after a change."""

    def __init__(
        self,
        settings: JwtSettings,
        fetch: Callable[[str], Awaitable[Any]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._fetch, self._clock = settings, fetch or fetch_jwks, clock
        self._public: dict[str, list[Key]] = {}
        self._document: Any = None
        self._secret = None if settings.secret is None else OctKey.import_key(settings.secret)
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self.on_change: list[Callable[[], None]] = []

    async def find(self, header: Header) -> list[Key]:
        """The keys that may have signed a token with this header. Raises `BadToken`, `KeysUnavailable`."""
        if self._secret is not None:
            if header.alg != "HS256":
                raise BadToken("the token's algorithm is not accepted")
            return [self._secret]
        kind = KINDS.get(header.alg)
        if kind is None:
            raise BadToken("the token's algorithm is not accepted")
        found = self._matching(header, kind)
        if not found and self._clock() - self._tried_at >= AWAY_SECONDS:
            await self.refresh()
            found = self._matching(header, kind)
        elif not found and self._fetching is not None:
            await asyncio.shield(self._fetching)
            found = self._matching(header, kind)
        if not found and not self._are_fresh():
            raise KeysUnavailable
        return found

    async def refresh(self) -> None:
        """Fetches the keys; of several callers at once one does. A failure leaves the known keys."""
        if self._settings.jwks_url is None:
            return
        if self._fetching is None:
            self._tried_at = self._clock()
            # A task of its own: a viewer that leaves does not cancel the fetch for others.
            self._fetching = asyncio.create_task(self._refresh(self._settings.jwks_url))
        await asyncio.shield(self._fetching)

    async def refresh_forever(self) -> None:
        """Fetches the keys periodically, more often while the provider is unavailable, until cancelled."""
        while True:
            await self.refresh()
            was_there = self._fetched_at >= self._tried_at
            await asyncio.sleep(self._settings.jwks_seconds if was_there else AWAY_SECONDS)

    async def _refresh(self, url: str) -> None:
        try:
            document = await self._fetch(url)
            keys = public_keys(document)
            if not keys:
                raise ValueError("no key in it can be used")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, TimeoutError, RecursionError) as error:
            problem = f"{type(error).__name__}: {error}"
            log.warning("jwks_unavailable", problem=problem, keys_at_hand=len(self._public))
        else:
            self._fetched_at = self._clock()
            if document != self._document:
                self._document, self._public = document, keys
                for callback in self.on_change:
                    callback()
        finally:
            self._fetching = None

    def _matching(self, header: Header, kind: type[Key]) -> list[Key]:
        if not self._are_fresh():
            return []
        every = chain.from_iterable(self._public.values())
        named = every if header.kid is None else self._public.get(header.kid, [])
        return [key for key in named if isinstance(key, kind) and key.alg in (None, header.alg)]

    def _are_fresh(self) -> bool:
        return self._clock() - self._fetched_at < self._settings.jwks_seconds + self._settings.jwks_stale_seconds


async def fetch_jwks(url: str) -> Any:
    """The JWKS document at *url*. Follows no redirect, and uses no proxy of the environment."""
    import httpx  # only where viewers have tokens: it would slow every start

    known = httpx.create_ssl_context()  # this one knows SSL_CERT_FILE: some providers have their own authority
    client = httpx.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False, trust_env=False, verify=known)
    asked = client.stream("GET", url, headers={"user-agent": "streamlimit"})
    try:
        async with asyncio.timeout(FETCH_SECONDS), client, asked as response:
            response.raise_for_status()
            return msgspec.json.decode(await _joined(response.aiter_bytes()))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


async def _joined(parts: AsyncIterable[bytes]) -> bytes:
    body = b""
    async for part in parts:
        body += part
        if len(body) > MAX_JWKS:
            raise ValueError("the document is too long")
    return body


def public_keys(document: Any) -> dict[str, list[Key]]:
    """The usable keys of a JWKS by their ids. Symmetric keys are ignored, and so are broken ones."""
    found: dict[str, list[Key]] = {}
    for data in document["keys"][:MAX_KEYS]:
        kinds: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
        kind = kinds.get(data.get("kty"))
        if kind is None or data.get("use") not in (None, "sig"):
            continue
        try:
            key = kind.import_key({name: value for name, value in data.items() if name in PUBLIC_PARTS})
            found.setdefault(str(data.get("kid", "")), []).append(key)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            log.warning("jwks_key_unusable", kid=str(data.get("kid"))[:128], problem=type(error).__name__)
    return found
