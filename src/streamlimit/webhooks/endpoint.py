"""Messages to an endpoint: the payload of one event, and the headers of Standard Webhooks.

Reads no clock, opens no socket.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec
from standardwebhooks import Webhook

from streamlimit.document import event_json
from streamlimit.model import Event

_encode = msgspec.json.Encoder().encode


class Endpoint:
    """One receiver of webhooks: URL, secrets, event types, and the `name` that logs and commands show.

    A secret is `whsec_<base64>` as in Standard Webhooks, or any other text, whose UTF-8 bytes are then the key. Each
    secret makes a signature; a receiver needs to know one of them (rotation).
    """

    def __init__(self, url: str, secrets: Sequence[str], types: Sequence[str], name: str | None = None) -> None:
        self.url, self.types = url, frozenset(types)
        self.name = name or default_name(url)
        self._signers = [Webhook(secret if secret.startswith("whsec_") else secret.encode()) for secret in secrets]

    def __repr__(self) -> str:
        return f"Endpoint({self.name})"  # neither secrets nor the URL, which may contain some

    def headers(self, event: Event, body: bytes, now: float) -> dict[str, str]:
        """The headers of one attempt at *now* (seconds of the epoch)."""
        at, text = datetime.fromtimestamp(int(now), UTC), body.decode()
        return {
            "content-type": "application/json",
            "webhook-id": event.id,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": " ".join(signer.sign(event.id, at, text) for signer in self._signers),
        }


def default_name(url: str) -> str:
    """The host and a short digest of the URL, which distinguishes endpoints on one host."""
    return f"{urlsplit(url).hostname}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def payload(event: Event) -> bytes:
    """The body of *event*: the same bytes at every retry."""
    return _encode(event_json(event))
