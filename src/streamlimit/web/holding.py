"""What a client sends while its answer is under way is held back until that is out, and read then as if it just came.

Often that is at the end of the same turn, where the store writes its file once a turn. By uvicorn's way, a task behind
another, it would be slow.
"""

from abc import abstractmethod
from typing import Any

from streamlimit.web.exchange import Exchange
from streamlimit.web.resting import RestingProtocol

MAX_HELD_BYTES = 64 * 1024
"""Of a connection, while its answer is under way; who sends more is read from again when that is out."""


class HoldingProtocol(RestingProtocol):
    """`RestingProtocol` that reads one packet after the other's answer, where an `Exchange` gives it."""

    _held = b""
    _data = b""
    """The packet that the parser is at, if it begins a request."""

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

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._held:
            self.loop.call_soon(self._release)

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > MAX_HELD_BYTES:
            self.flow.pause_reading()

    def _release(self) -> None:
        held, self._held = self._held, b""
        if self.transport.is_closing():
            return
        self.flow.resume_reading()  # more may have come since the answer was out
        self.data_received(held)
        if self._got_eof and not self._is_answering():
            self.transport.close()  # half a request, whose end will not come

    def _is_answering(self) -> bool:
        return bool(self._held) or super()._is_answering()

    @abstractmethod
    def _again(self, data: bytes) -> bool:
        """Is *data* a request that means what it meant before? Then it is answered, or will be."""

    def _parse(self, data: bytes) -> None:
        """Reads *data* as uvicorn does."""
        self._is_receiving = True
        self._data = b"" if self._is_half else data  # the end of a head says nothing by itself
        super().data_received(data)
        self._is_receiving, self._data = False, b""
