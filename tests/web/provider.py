"""An identity provider for tests: keys, tokens, and a JWKS endpoint that can be slow, away, or have other keys."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.answering import Quiet

SERVICE_KEY = "service-key-of-the-tests"
ISSUER, AUDIENCE = "https://id.example.org/", "streamlimit"


def new_key(algorithm: str = "RS256") -> Any:
    """A private key with an id of its own."""
    if algorithm == "RS256":
        return RSAKey.generate_key(2048, auto_kid=True)
    if algorithm == "ES256":
        return ECKey.generate_key("P-256", auto_kid=True)
    return OKPKey.generate_key("Ed25519", auto_kid=True)


def jwks(*keys: Any) -> dict[str, Any]:
    """The public halves."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def token(key: Any, user: str = "alice", algorithm: str = "RS256", **claims: Any) -> str:
    """A token of *user*'s. Claims that are None are left out."""
    every = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "exp": int(time.time()) + 3_600} | claims
    header = {"alg": algorithm, "kid": key.kid}
    return jwt.encode(header, {k: v for k, v in every.items() if v is not None}, key, algorithms=[algorithm])


class Provider:
    """A JWKS endpoint on loopback. `keys`: what it shows; `delay`: seconds; `is_away`: 500 to all."""

    def __init__(self) -> None:
        self.keys: list[Any] = [new_key()]
        self.delay, self.is_away, self.asked = 0.0, False, 0
        provider = self

        class Handler(Quiet):
            def do_GET(self) -> None:
                provider.asked += 1
                time.sleep(provider.delay)
                self.reply(500 if provider.is_away else 200, json.dumps(jwks(*provider.keys)).encode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"

    def token(self, user: str = "alice", **claims: Any) -> str:
        """Signed with the newest key."""
        return token(self.keys[-1], user, **claims)

    def settings(self, **more: Any) -> dict[str, Any]:
        """For `tests.service.started`."""
        table = {"jwks_url": self.url, "issuer": ISSUER, "audience": AUDIENCE} | more
        return {"auth": "jwt", "jwt": table}


@contextmanager
def running_provider() -> Iterator[Provider]:
    provider = Provider()
    thread = threading.Thread(target=provider.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.server.shutdown()
        provider.server.server_close()
