"""uvicorn's HTTP protocol with a `Wire` on each connection, so that an answer can have a receipt.

For `uvicorn.Config(http=ReceiptProtocol)`. Each request's scope has the connection's wire as
`scope["extensions"]["streamlimit.wire"]`. Costs a second descriptor per connection.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from streamlimit.delivery.wire import Wire

EXTENSION = "streamlimit.wire"
HALF_OPEN_SECONDS = 2.0


class ReceiptProtocol(HttpToolsProtocol):
    """One HTTP/1.1 connection. A client that half-closes after its request is still served.

    uvicorn closes at the client's FIN, also in the middle of an answer; a FIN says only that no more requests come,
    and closing then would drop what the server has in its own buffer. What nobody delivers (server-sent
    events, say) is closed all the same after `HALF_OPEN_SECONDS`, for there a FIN means that the viewer left.
    """

    wire: Wire | None = None
    _taps_at_once = True
    _extensions: dict[str, Any]
    _overtaken: list[RequestResponseCycle]
    _got_eof = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._extensions, self._overtaken = {}, []
        if self._taps_at_once:
            self._tap()

    def _tap(self) -> None:
        try:
            self.wire = self._extensions[EXTENSION] = Wire.tap(self.transport)
        except OSError as error:  # no descriptor left: without a wire receipts would be guesses
            self.logger.warning("Connection refused: %s", error)
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_headers_complete(self) -> None:
        before: Any = self.cycle  # None at first, whatever its type says
        super().on_headers_complete()
        if before is not None and not before.response_complete:
            self._overtaken.append(before)

    def data_received(self, data: bytes) -> None:
        # The client's bytes carry its acknowledgements: what came before is settled before they are looked at.
        if self.wire is not None:
            self.wire.nudge()
        super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # True keeps the transport open
        if self.wire is None and self.scheme != "https" and self._is_answering():
            self._tap()
        if self.wire is None or self.scheme == "https":  # TLS has no half-open connections
            return False
        self.wire.nudge()
        if not self._got_eof:
            self._got_eof = True
            self.loop.call_later(HALF_OPEN_SECONDS, self._close_unless_delivering)
        return self._is_answering()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._overtaken:
            self._overtaken = [cycle for cycle in self._overtaken if not cycle.response_complete]
        if self._got_eof and not self._is_answering():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for cycle in self._overtaken:  # uvicorn tells the last one only; another would write to a closed transport
            cycle.disconnected = True
            cycle.message_event.set()
        self.cycle = cast(Any, None)  # they hold each other
        if self.wire is not None:
            self.wire.lost(exc)

    def handle_websocket_upgrade(self) -> None:
        if self.wire is not None:
            self.wire.close()  # another protocol takes over, we shall not hear of the end
        super().handle_websocket_upgrade()

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle  # None at first, whatever its type says
        return cycle is not None and not cycle.response_complete

    def _close_unless_delivering(self) -> None:
        if self.wire is not None and self.wire.watcher is None:
            self.transport.close()
