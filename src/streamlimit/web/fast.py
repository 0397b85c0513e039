"""The fast path: hot requests are answered where they are parsed, by the very same ASGI application.

uvicorn makes, for each request, a scope of a dozen fields, an event, a cycle and a task, and runs that task in
the loop's next turn. Most of what we answer never waits: a heartbeat, a refusal, a segment out of memory.
So for hot URLs whose body is there, an `Exchange` steps the application's coroutine itself, at once.
If it ends without waiting, the answer is written, and that was all. If it waits for a future, the exchange
goes on when that is done, as a task would. What one way answers the other does, too, for there is one
application; tests/web/test_fast.py compares them all the same.

What is not hot, or comes in one packet with the request before it (pipelining), or has `Expect`, an upgrade, or a
body in other than small pieces, takes uvicorn's way. A packet that comes while an answer is under way is held back
until that is out: often at the end of the same turn, where the store writes its file once a turn. Keep-alive,
draining and time-outs stay uvicorn's: an exchange stands where a cycle would (`self.cycle`), and among the tasks that
a shutdown waits for.

Heartbeats (quick.py), segments and files (heads.py) that are plainly good need no application either, and of those
that came before not even the parser: `_again` looks for them by their bytes, `_beat_first` and `_serve_first` when
they were parsed. Who is refused goes the long way, but for refusals from memory.

The cleverness is bounded: code on the hot path may not ask for `asyncio.current_task()` (so no
`asyncio.timeout`), for it has none while it is stepped here.
"""

import asyncio
from functools import partial
from typing import Any, cast

from streamlimit.model import Decision
from streamlimit.store.coming import Coming
from streamlimit.store.contract import Answer, is_coming
from streamlimit.web.app import FrontDoor
from streamlimit.web.exchange import Exchange
from streamlimit.web.heads import Hot
from streamlimit.web.http import MAX_BODY_BYTES
from streamlimit.web.protocol import ReceiptProtocol
from streamlimit.web.quick import Beat, host_of

HOT_PREFIXES = (b"/v1/segments", b"/play/", b"/edge/")
HOT_SUFFIX = b"/heartbeat"

MAX_HELD_BYTES = 64 * 1024
"""Of a connection, while its answer is under way; who sends more is read from again when that is out."""


class FastProtocol(ReceiptProtocol):
    """`ReceiptProtocol` that answers hot requests itself. For `uvicorn.Config(http=FastProtocol)`."""

    _collecting = _is_receiving = _is_half = False
    _parts: list[bytes]
    _data = _held = b""
    _host = ""
    _size = 0
    _rests_since = 0.0
    _door: FrontDoor | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._door = getattr(self.app, "door", None)
        self._host = host_of(self.client)

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

    def data_received(self, data: bytes) -> None:
        if self.wire is not None:
            self.wire.nudge()
        cycle: Any = self.cycle
        if isinstance(cycle, Exchange):
            cycle.go_on_now()  # the receipt that the nudge settled, before the next request is looked at
            if self._held or not (cycle.response_complete or self._is_half):
                self._hold(data)
                return
        if not self._again(data):
            self._parse(data)

    def _hold(self, data: bytes) -> None:
        """For when the answer under way is out; often that is at the end of this turn."""
        self._held += data
        if len(self._held) > MAX_HELD_BYTES:
            self.flow.pause_reading()

    def _release(self) -> None:
        held, self._held = self._held, b""
        if held and not self.transport.is_closing():
            self.data_received(held)

    def _is_answering(self) -> bool:
        return bool(self._held) or super()._is_answering()

    def _parse(self, data: bytes) -> None:
        """Reads *data* as uvicorn does."""
        self._is_receiving = True
        self._data = b"" if self._is_half else data  # the end of a head says nothing by itself
        super().data_received(data)
        self._is_receiving, self._data = False, b""

    def on_response_complete(self) -> None:
        """uvicorn's, but for the plain case: there one timer a connection does, instead of one a request."""
        if self.pipeline or self._overtaken or self._got_eof or self.transport.is_closing():
            super().on_response_complete()
        else:
            self.flow.resume_reading()
            self._go_to_rest()
        if self._held:
            self.loop.call_soon(self._release)

    def _go_to_rest(self) -> None:
        self.server_state.total_requests += 1
        self._rests_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._rest(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """The connection has rested long enough to be closed; or not yet, for there were requests meanwhile."""
        self.timeout_keep_alive_task = None
        left = self._rests_since + self.timeout_keep_alive - self.loop.time()
        if self._is_answering() or left > 0:
            self._rest(left if left > 0 else self.timeout_keep_alive)
        else:
            super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """A request whose body is still on its way is answered, too: it has no exchange yet that would tell."""
        if self._collecting:
            self._take_the_long_way()
        super().shutdown()

    def _unset_keepalive_if_required(self) -> None:
        if not self._is_receiving:  # a request alone does not stop the timer: when it fires, it looks
            super()._unset_keepalive_if_required()

    def _rest(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _again(self, data: bytes) -> bool:
        """Is *data* a request that means what it meant before? Then it is answered, or will be."""
        door, cycle = self._door, cast(Any, self.cycle)
        if door is None or self._is_half or (cycle is not None and not cycle.response_complete):
            return False
        if self.flow.write_paused:
            return False
        hot = door.heads.again(data, self._host)
        if hot is not None:
            return self._serve(door, hot, keep_alive=True)
        beat = door.beats.again(data, self._host)
        if beat is not None:
            self._answer(door, beat)
        return beat is not None

    def _serve_first(self, body: bytes) -> bool:
        """A segment, or a file, that was parsed: if it is plainly good it is answered, and what it meant remembered."""
        door, parser = self._door, self.parser
        if door is None or self.flow.write_paused:
            return False
        hot = door.heads.first(parser.get_method(), self.url, self.headers, body, self.client)
        if hot is None:
            return False
        keep_alive = parser.should_keep_alive()
        if keep_alive:
            door.heads.remember(self._data, hot)
        return self._serve(door, hot, keep_alive)

    def _serve(self, door: FrontDoor, hot: Hot, keep_alive: bool) -> bool:
        refusal = door.heads.refuse(hot, self.server_state.default_headers)
        if refusal is not None and keep_alive:
            self._write(refusal)
            return True
        if self.wire is None:
            self._tap()
        if self.wire is None:
            return True  # no descriptor is left: the connection is being reset
        exchange = Exchange(self, b"", keep_alive, hot.head.tail)
        if refusal is None:
            exchange.run(door.serve(hot, exchange))
        else:
            self.cycle = cast(Any, exchange)
            exchange.send_whole(refusal)
        return True

    def _beat_first(self, body: bytes) -> bool:
        """The same after it was parsed."""
        door, parser = self._door, self.parser
        if door is None or not self.url.endswith(HOT_SUFFIX) or self.flow.write_paused:
            return False
        if parser.get_method() != b"POST" or not parser.should_keep_alive():
            return False
        beat = door.beats.first(self.url, self.headers, body, self.client)
        if beat is None:
            return False
        if self._data.find(b"\r\n\r\n") + 4 + len(body) == len(self._data):  # all of it, and nothing else
            door.beats.remember(self._data, beat)
        self._answer(door, beat)
        return True

    def _answer(self, door: FrontDoor, beat: Beat) -> None:
        decision = door.beats.begin(beat)
        answer = door.beats.answer(beat, decision, self.server_state.default_headers)
        if answer is not None:
            self._write(answer)
            return
        exchange = Exchange(self, b"", keep_alive=True)
        if isinstance(decision, Coming):
            exchange.stand_by()
            decision.hear(partial(self._came, exchange, door, beat))
        else:
            exchange.run(self._answer_later(exchange, door, beat, decision))

    def _write(self, answer: bytes) -> None:
        """The whole of it, at once."""
        self.transport.write(answer)
        if self._got_eof or self.transport.is_closing():
            self.on_response_complete()
        else:
            self._go_to_rest()

    def _came(self, exchange: Exchange, door: FrontDoor, beat: Beat, decision: Decision | Exception) -> None:
        answer = door.beats.answer(beat, decision, self.server_state.default_headers)
        if answer is not None:
            exchange.send_whole(answer)
            exchange.is_over()
        else:
            exchange.run(door.go_on(beat, decision, exchange.receive, exchange.send))

    async def _answer_later(
        self, exchange: Exchange, door: FrontDoor, beat: Beat, coming: Answer[Decision] | Exception
    ) -> None:
        decision = await door.beats.come(coming) if is_coming(coming) else coming
        answer = door.beats.answer(beat, decision, self.server_state.default_headers)
        if answer is not None:
            exchange.send_whole(answer)
        else:
            await door.go_on(beat, decision, exchange.receive, exchange.send)

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
