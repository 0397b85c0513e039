"""Connections at rest: closed when nothing came for so long. One timer a connection does, instead of one a request.

uvicorn cancels and makes a timer with each request. Here it runs on, and when it fires it looks how long
nothing has come.
"""

import asyncio

from streamlimit.web.protocol import ReceiptProtocol


class RestingProtocol(ReceiptProtocol):
    """`ReceiptProtocol` whose keep-alive costs the usual request a look at the clock."""

    _is_receiving = _is_half = False
    """Is the parser at work? Has it seen the beginning of a request, and not its end?"""
    _rests_since = 0.0

    def on_response_complete(self) -> None:
        """uvicorn's, but for the plain case."""
        if self.pipeline or self._overtaken or self._got_eof or self.transport.is_closing():
            super().on_response_complete()
        else:
            self.flow.resume_reading()
            self._go_to_rest()

    def timeout_keep_alive_handler(self) -> None:
        """The connection has rested long enough to be closed; or not yet, for there were requests meanwhile."""
        self.timeout_keep_alive_task = None
        left = self._rests_since + self.timeout_keep_alive - self.loop.time()
        if self._is_half or self._is_answering() or left > 0:
            self._rest(left if left > 0 else self.timeout_keep_alive)
        else:
            super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def _go_to_rest(self) -> None:
        self.server_state.total_requests += 1
        self._rests_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._rest(self.timeout_keep_alive)

    def _rest(self, seconds: float) -> None:
        self.timeout_keep_alive_task: asyncio.TimerHandle | None
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        if not self._is_receiving:  # a request alone does not stop the timer: when it fires, it looks
            super()._unset_keepalive_if_required()
