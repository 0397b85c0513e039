"""A service that pretends to keep a limit and admits everyone, which `streamlimit bench` must detect."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn

from tests.ports import free_port

LIMIT, LIFETIME_SECONDS = 3, 30
SESSION = re.compile(r"/v1/users/([^/]+)/sessions(?:/([^/]+))?(/heartbeat|/end)?")


class Impostor:
    """An ASGI application. *lies*: its lists never tell of more sessions than the limit."""

    def __init__(self, lies: bool) -> None:
        self._lies = lies
        self._sessions: dict[str, dict[str, None]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        form = json.loads((await receive())["body"] or b"{}")
        status, document = self._answer(scope["method"], scope["path"], form)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = b"" if document is None else json.dumps(document).encode()
        await send({"type": "http.response.body", "body": body})

    def _answer(self, method: str, path: str, form: Any) -> tuple[int, Any]:
        if path == "/v1/streams":
            one = {"stream_id": "film", "title": "film", "entry": "index.m3u8", "live": False}
            return 200, {"streams": [one | {"segments": 100, "segment_seconds": 0.2}]}
        if path in ("/v1/segments", "/v1/sessions"):
            return self._seat(form["user_id"], form["session_id"])
        match = SESSION.fullmatch(path)
        assert match is not None, path
        user, session, what = match.groups()
        if what == "/heartbeat":
            return self._seat(user, session)
        if what == "/end" or method == "DELETE":
            self._end(user, session)
            return 204, None
        return 200, self._roster(user)

    def _seat(self, user: str, session: str) -> tuple[int, Any]:
        self._sessions.setdefault(user, {})[session] = None
        now = datetime.now(UTC)
        expires = now + timedelta(seconds=LIFETIME_SECONDS)
        return 200, {"last_activity_at": now.isoformat(), "expires_at": expires.isoformat()}

    def _end(self, user: str, session: str | None) -> None:
        if session is None:
            self._sessions.pop(user, None)
        else:
            self._sessions.get(user, {}).pop(session, None)

    def _roster(self, user: str) -> Any:
        sessions = [{"session_id": session} for session in self._sessions.get(user, ())]
        shown = sessions[:LIMIT] if self._lies else sessions
        return {"user_id": user, "limit": LIMIT, "live_sessions": len(shown), "sessions": shown}


@contextmanager
def pretending(lies: bool) -> Iterator[str]:
    """The URL of one that runs in a thread."""
    port = free_port()
    config = uvicorn.Config(Impostor(lies), port=port, log_config=None, lifespan="off")  # without its loggers
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < deadline, "the impostor did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
