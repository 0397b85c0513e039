"""The fast path: hot requests are answered where they are parsed, by the very same ASGI application.

uvicorn makes, for each request, a scope of a dozen fields, an event, a cycle and a task, and runs that task in
the loop's next turn. Most of what we answer never waits: a heartbeat, a refusal, a segment out of memory.
So for hot URLs whose body is there, an `Exchange` steps the application's coroutine itself, at once.
If it ends without waiting, the answer is written, and that was all. If it waits for a future, the exchange
goes on when that is done, as a task would. What one way answers the other does, too, for there is one
application; tests/web/test_fast.py compares them all the same.

What is not hot, or comes in one packet with the request before it (pipelining), or has `Expect`, an upgrade, or a
body in other than small pieces, takes uvicorn's way. Keep-alive, draining and time-outs stay uvicorn's: an exchange
stands where a cycle would (`self.cycle`), and among the tasks that a shutdown waits for.

From below: receipts (protocol.py), keep-alive (resting.py), what comes too early (holding.py), what needs no
application (hot.py), and here what is parsed and handed to one.

The cleverness is bounded: code on the hot path may not ask for `asyncio.current_task()` (so no
`asyncio.timeout`), for it has none while it is stepped here.
"""

from typing import Any

from streamlimit.web.exchange import Exchange
from streamlimit.web.hot import HOT_SUFFIX, HotProtocol
from streamlimit.web.http import MAX_BODY_BYTES

HOT_PREFIXES = (b"/v1/segments", b"/play/", b"/edge/")


class FastProtocol(HotProtocol):
    """`ReceiptProtocol` that answers hot requests itself. For `uvicorn.Config(http=FastProtocol)`."""

    _collecting = False
    _parts: list[bytes]
    _size = 0

    def on_message_begin(self) -> None:
        # uvicorn's scope is only made (by `_take_the_long_way`) for those who need it.
        self._is_half = True
        self.url, self.headers, self.expect_100_continue, self._collecting = b"", [], False, False

    def on_headers_complete(self) -> None:
        if self._is_hot():
            self._collecting, self._parts, self._size = True, [], 0
        else:
            self._take_the_long_way()

    def on_body(self, body: bytes) -> None:
        if not self._collecting:
            super().on_body(body)
            return
        self._parts.append(body)
        self._size += len(body)
        if self._size > MAX_BODY_BYTES:
            self._take_the_long_way()

    def on_message_complete(self) -> None:
        self._is_half = False
        if not self._collecting:
            super().on_message_complete()
            return
        self._collecting = False
        body = b"".join(self._parts)
        if not self._beat_first(body) and not self._serve_first(body):
            Exchange(self, body, self.parser.should_keep_alive()).begin(self._door or self.app)

    def shutdown(self) -> None:
        """A request whose body is still on its way is answered, too: it has no exchange yet that would tell."""
        if self._collecting:
            self._take_the_long_way()
        super().shutdown()

    def _is_free(self) -> bool:
        """No answer is under way."""
        cycle: Any = self.cycle  # None at first, whatever its type says
        return cycle is None or cycle.response_complete

    def _is_hot(self) -> bool:
        return (
            self._is_free()
            and (self.url.startswith(HOT_PREFIXES) or (self.url.endswith(HOT_SUFFIX) and self.url.startswith(b"/")))
            and not self.expect_100_continue
            and not self.parser.should_upgrade()
            and self.parser.get_http_version() == "1.1"
            and self.limit_concurrency is None
        )

    def _take_the_long_way(self) -> None:
        """What was held back so far, in uvicorn's order."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        parts, self._collecting = (self._parts if self._collecting else []), False
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expects
        self.scope["headers"] = headers
        super().on_headers_complete()
        for part in parts:
            super().on_body(part)
