"""Hot requests that are plainly good, answered without an application; those that came before without the parser, too.

What is a heartbeat (quick.py), a segment or a file (heads.py) is found by its bytes in `_again`, by `_beat_first` and
`_serve_first` when it was parsed. Who is refused goes the long way, but for refusals from memory.
"""

import asyncio
from functools import partial
from typing import Any, cast

from streamlimit.model import Decision
from streamlimit.store.contract import Answer, is_coming
from streamlimit.store.deferred import Deferred
from streamlimit.web.app import FrontDoor
from streamlimit.web.exchange import Exchange
from streamlimit.web.heads import Hot
from streamlimit.web.holding import HoldingProtocol
from streamlimit.web.quick import Beat, host_of

HOT_SUFFIX = b"/heartbeat"


class HotProtocol(HoldingProtocol):
    """`HoldingProtocol` that asks what the front door remembers."""

    _host = ""
    _door: FrontDoor | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._door = getattr(self.app, "door", None)
        self._host = host_of(self.client)

    def _again(self, data: bytes) -> bool:
        door = self._door
        cycle: Any = self.cycle  # None at first, whatever its type says
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
        """The same of a heartbeat."""
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
        if not isinstance(decision, Deferred):
            answer = door.beats.answer(beat, decision, self.server_state.default_headers)
            if answer is not None:
                self._write(answer)
                return
        exchange = Exchange(self, b"", keep_alive=True)
        if isinstance(decision, Deferred):
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
            exchange.go_on(door.go_on(beat, decision, exchange.receive, exchange.send))

    async def _answer_later(
        self, exchange: Exchange, door: FrontDoor, beat: Beat, coming: Answer[Decision] | Exception
    ) -> None:
        decision = await door.beats.come(coming) if is_coming(coming) else coming
        answer = door.beats.answer(beat, decision, self.server_state.default_headers)
        if answer is not None:
            exchange.send_whole(answer)
        else:
            await door.go_on(beat, decision, exchange.receive, exchange.send)
