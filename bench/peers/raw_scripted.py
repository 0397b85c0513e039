"""No framework: raw ASGI under uvicorn, and one script a request by valkey-py's asyncio client and its C parser.

What it does: at most three sessions a user, checked and taken in one atomic script (script.py); a session that is
silent for 180 s loses its seat. What it lacks: as nginx.conf; but a script that a restarted store has lost is loaded
again.
"""

import json
import os
import time
from typing import Any

import valkey.asyncio

from bench.peers.script import SCRIPT

store = valkey.asyncio.from_url(os.environ["BENCH_STORE"])
admit = store.register_script(SCRIPT)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    form = json.loads((await receive())["body"])
    live = await admit(keys=[form["user_id"]], args=[form["session_id"], time.time()])
    body = json.dumps({"live_sessions": live} if live >= 0 else {"detail": "too many"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200 if live >= 0 else 409, "headers": headers})
    await send({"type": "http.response.body", "body": body})
