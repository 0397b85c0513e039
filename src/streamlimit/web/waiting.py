"""What is expected of a client in time: a first request, the rest of one, and that it reads what it asked for.

Knows no session and no stream. How long, and who is next, `Connections` knows.
"""

import asyncio
from typing import Any

from uvicorn.protocols.utils import get_remote_addr

from streamlimit.web.connections import Connections
from streamlimit.web.fast import FastProtocol


class WaitingProtocol(FastProtocol):
    """`FastProtocol` that waits for its client no longer than its *guard* allows."""

    _address = ""
    _is_in = _is_waiting = _head_is_done = _is_stuck = False
    _unsent = 0

    def __init__(self, *args: Any, guard: Connections, **more: Any) -> None:
        super().__init__(*args, **more)
        self._guard = guard

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        client = get_remote_addr(transport)
        self._address = client[0] if client else ""
        self._is_in = self._guard.enter(self._address)
        if not self._is_in:
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._await()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_in:
            self._is_in = False
            self._guard.leave(self._address)
            self._guard.forget(self)
            super().connection_lost(exc)

    def _parse(self, data: bytes) -> None:
        super()._parse(data)
        if self._is_half:
            if not self._is_waiting:
                self._await()
        elif self._is_waiting:
            if self._head_is_done and not self._is_stuck:
                self._forget()
        elif self.timeout_keep_alive_task is None and not self._is_answering():
            self._await()  # stray bytes between requests: uvicorn has stopped its own timer for them

    def _again(self, data: bytes) -> bool:
        is_answered = super()._again(data)
        if is_answered and self._is_waiting and not self._is_stuck:
            self._forget()
        return is_answered

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_is_done = False

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._head_is_done = True
        if self._is_waiting:
            self._await()  # the body has its own time

    def pause_writing(self) -> None:
        super().pause_writing()
        self._is_stuck = True
        if not self._is_waiting and not self._is_delivering():
            self._await()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._is_stuck = False
        if self._is_waiting and not self._is_half and not self.transport.is_closing():
            self._forget()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() and not self._is_waiting:
            self._await()  # closed when all is sent, and some clients never read

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        if self.transport.is_closing() and not self._is_waiting:
            self._await()

    def is_excused(self) -> bool:
        """Its time is over. Is it we who are slow, or does it read on, if slowly?"""
        if self._is_delivering():
            return True  # delivery has its own eyes on who does not read
        if self._is_stuck or self.transport.is_closing():
            before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
            return self._unsent < before
        if any(not cycle.response_complete for cycle in self._overtaken):
            return True
        has_body_to_come = self._is_half and self._head_is_done
        return self._is_answering() and not has_body_to_come

    def give_up(self) -> None:
        """Nobody is there, or someone who wants us to wait."""
        self._guard.tally.given_up[self._awaited()] += 1
        self._hang_up()

    def _awaited(self) -> str:
        """What it is waited for: the `request`, the rest of its `head` or `body`, or that it is `reading`."""
        if self._is_stuck or self.transport.is_closing():
            return "reading"
        if self._is_half:
            return "body" if self._head_is_done else "head"
        return "request"

    def _hang_up(self) -> None:
        if self.wire is not None and self.transport.get_write_buffer_size():
            self.wire.abort()  # resets: the kernel, too, lets go of what nobody reads
        else:
            self.transport.abort()

    def _await(self) -> None:
        self._is_waiting, self._unsent = True, self.transport.get_write_buffer_size()
        self._guard.await_client(self)

    def _forget(self) -> None:
        self._is_waiting = False
        self._guard.forget(self)

    def _is_delivering(self) -> bool:
        return self.wire is not None and self.wire.watcher is not None
