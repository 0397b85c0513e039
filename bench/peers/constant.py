"""The floor: raw ASGI, JSON in and a constant JSON out, no store."""

import json
from typing import Any

BODY = json.dumps({"session_id": "s", "live_sessions": 1, "limit": 3}).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    message = await receive()
    json.loads(message["body"])
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
