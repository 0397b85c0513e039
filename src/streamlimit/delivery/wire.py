"""The wire: a client connection as delivery sees it, with the bytes that the peer has not acknowledged yet.

Reads the kernel's queue through a duplicate of the socket's descriptor, which stays valid after the transport has
closed its own. Linux only (SIOCOUTQ, TCP_INFO). Knows no HTTP, no server, no session.
"""

import asyncio
import fcntl
import os
import socket
import struct
import sys
import termios
from collections.abc import Awaitable
from enum import Enum, auto
from typing import Any, Protocol

_EMPTY = bytes(4)
_TCP_INFO_BYTES = 128
_TCP_INFO = struct.Struct("=B119xQ")  # tcpi_state at offset 0, tcpi_bytes_acked at 120 (Linux 4.1)
_TCP_CLOSE = 7
_STEADY_TRIES = 4
_MOST_UNSENT = 256 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, 0 s


class Kind(Enum):
    """The kind of a connection: TCP has exact counts, TLS approximate ones, a Unix socket only its queue."""

    TCP = auto()
    TLS = auto()
    LOCAL = auto()


Rest = tuple[bytes, int, int, int]
"""The rest of a `pour`: the head, the file's descriptor, the offset in it, and the bytes left."""

_TCP = Kind.TCP  # looking up a member takes long


class Watcher(Protocol):
    """The listener of a wire: called when bytes came from the peer, the connection was lost, or a `pour` goes on."""

    def nudge(self) -> None:
        """Bytes came from the peer, or the connection was lost."""

    def handed(self, n: int) -> None:
        """The kernel took *n* more bytes of the file."""

    def blocked(self) -> None:
        """The kernel takes no more at the moment."""

    def acknowledged(self) -> int:
        """The bytes that the client has; called a last time while the wire can be read."""


class Wire:
    """One client connection, for the loop's own thread. Owns *fd*, a duplicate of the transport's, until `close`.

    The duplicate holds the connection open: until it is closed, or was shut down for writing, no FIN goes out.
    """

    __slots__ = (
        "_fd",
        "_poured",
        "_rest",
        "_socket",
        "address",
        "is_lost",
        "is_reset",
        "kind",
        "loop",
        "transport",
        "watcher",
    )  # fmt: skip

    def __init__(self, fd: int, transport: asyncio.Transport) -> None:
        self._fd = fd
        self._socket = socket.socket(fileno=fd)
        self.transport = transport
        self.loop = asyncio.get_running_loop()  # asking for it costs a system call
        self._poured: asyncio.Future[None] | None = None
        self._rest: Rest | None = None
        self.kind, self.address = _kind_and_address(self._socket, transport)
        if self.kind is not Kind.LOCAL:
            # asyncio forgets this on sockets made without a protocol number, as uvicorn makes them. Then a body
            # waits behind its headers for the client's delayed acknowledgement: 40 ms.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.watcher: Watcher | None = None
        self.is_lost = False
        self.is_reset = False

    @classmethod
    def tap(cls, transport: asyncio.Transport) -> "Wire":
        """Duplicates the descriptor of *transport*. Raises OSError when the process has none left."""
        duplicate = os.dup(transport.get_extra_info("socket").fileno())
        try:
            return cls(duplicate, transport)
        except BaseException:
            os.close(duplicate)
            raise

    @property
    def is_closing(self) -> bool:
        """Is the transport closing? Then new bytes may never reach the kernel, and its buffer cannot be read."""
        return self.is_lost or self.transport.is_closing()

    @property
    def is_over(self) -> bool:
        """Is TCP over, so that the peer takes nothing any more? The event loop may not have been notified yet."""
        return self.is_lost or (self.kind is not Kind.LOCAL and self.tcp()[0])

    @property
    def is_closed(self) -> bool:
        """Is the duplicate closed, so that nothing more can be read?"""
        return self._fd < 0

    @property
    def can_pour(self) -> bool:
        """Can bytes bypass the transport? Not its TLS, nor bytes that wait in its buffer."""
        return self.kind is _TCP and self.transport.get_write_buffer_size() == 0 and not self.is_closing

    def keep_few(self) -> None:
        """Bounds the bytes that the kernel takes beyond those on their way: nobody else keeps an origin's."""
        if self.kind is not Kind.LOCAL and self._fd >= 0:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MOST_UNSENT)

    def pour(self, head: bytes, file: int, first: int, left: int) -> Awaitable[None] | None:
        """Gives the kernel *head*, and *left* bytes of *file* from *first* on, without copying them to memory.

        The watcher gets the number of bytes taken: fewer where the file ended before, or the connection is over. A
        returned awaitable is to be awaited: the kernel takes no more at the moment.
        """
        rest = self._push(head, file, first, left)
        return None if rest is None else self._pour_on(rest)

    def _push(self, head: bytes, file: int, first: int, left: int) -> Rest | None:
        """Gives the kernel what it takes at once. Returns the rest; None: nothing is left."""
        if self.is_closing:
            return None
        try:
            if head:
                # MSG_MORE: the head waits for the first bytes of the file, to go in one packet with them.
                head = head[self._socket.send(head, socket.MSG_MORE if left else 0) :]
            if left and not head:
                taken = os.sendfile(self._fd, file, first, left)
                if not taken:
                    return None  # the file ended
                first, left = first + taken, left - taken
                if self.watcher is not None:
                    self.watcher.handed(taken)
        except BlockingIOError:
            pass
        except OSError:  # the peer went away, or the disk failed
            self.abort()
            return None
        # A short count means that the queue is full; trying again would cost another system call.
        return (head, file, first, left) if head or left else None

    def outstanding(self) -> int:
        """The unacknowledged bytes in the server's own buffer and the kernel's queue.

        With TLS these are encrypted bytes, without those in the buffer of the transport below TLS.
        """
        if self._fd < 0:
            return 0 if self.is_lost else self.transport.get_write_buffer_size()
        # On Linux TIOCOUTQ is the number of SIOCOUTQ.
        queued = int.from_bytes(fcntl.ioctl(self._fd, termios.TIOCOUTQ, _EMPTY), sys.byteorder)
        return queued if self.is_lost else self.transport.get_write_buffer_size() + queued

    def queued(self) -> int:
        """The kernel's part of `outstanding`. On TCP an unacknowledged FIN counts as a byte."""
        if self._fd < 0:
            return 0
        # On Linux TIOCOUTQ is the number of SIOCOUTQ.
        return int.from_bytes(fcntl.ioctl(self._fd, termios.TIOCOUTQ, _EMPTY), sys.byteorder)

    def tcp(self) -> tuple[bool, int]:
        """Is TCP over (no acknowledgement comes any more), and how many bytes are acknowledged? Read at one moment."""
        if self._fd < 0:
            return True, 0
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        state, acknowledged = _TCP_INFO.unpack(info)
        return state == _TCP_CLOSE, acknowledged

    def written(self) -> int:
        """All bytes written so far, acknowledged or not. Valid only while not `is_closing`.

        An acknowledgement between the two readings would count twice, hence the second look.
        """
        acknowledged = self.tcp()[1]
        for _ in range(_STEADY_TRIES):
            before, waiting = acknowledged, self.outstanding()
            acknowledged = self.tcp()[1]
            if acknowledged == before:
                break
        return acknowledged + waiting

    def was_reset(self) -> bool:
        """Was the connection reset, by the peer or by this side? Then a Unix socket's queue looks empty."""
        if not self.is_reset and self._fd >= 0:
            self.is_reset = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
        return self.is_reset

    def nudge(self) -> None:
        """Notifies the watcher: bytes came from the peer, perhaps with an acknowledgement."""
        if self.watcher is not None:
            self.watcher.nudge()

    def lost(self, error: Exception | None) -> None:
        """Handles the loss of the transport. For a watcher the duplicate stays open, and a FIN is sent."""
        self.is_lost = True
        self.is_reset = self.is_reset or error is not None
        self._stop_pouring()
        if self.watcher is not None:
            self.watcher.nudge()
        if self.watcher is None:
            self.close()
        else:
            self._finish()

    def release(self) -> None:
        """Ends watching: the watcher has its outcome."""
        self.watcher = None
        if self.is_lost:
            self.close()

    def abort(self) -> None:
        """Resets the connection at once; queued bytes are dropped."""
        if self._fd < 0:
            return
        if self.watcher is not None:
            self.watcher.acknowledged()
        self.is_reset = True
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()
        if not self.is_lost:
            self.transport.abort()

    def close(self) -> None:
        """Closes the duplicate. Twice is once."""
        self._stop_pouring()
        self._fd = -1
        self._socket.close()

    async def _pour_on(self, rest: Rest) -> None:
        """Goes on with a pour whenever the kernel has room, until all is written or the connection is over."""
        if self.watcher is not None:
            self.watcher.blocked()
        self._rest, self._poured = rest, self.loop.create_future()
        self.loop.add_writer(self._fd, self._push_on)
        try:
            await self._poured
        finally:
            self._stop_pouring()  # cancelled: no request waits any more

    def _push_on(self) -> None:
        if self._rest is not None:
            self._rest = self._push(*self._rest)
        if self._rest is None:
            self._stop_pouring()

    def _stop_pouring(self) -> None:
        """Ends a pour that waits. Called before the descriptor is closed, since its number will be reused."""
        poured, self._poured, self._rest = self._poured, None, None
        if poured is not None:
            self.loop.remove_writer(self._fd)
            if not poured.done():
                poured.set_result(None)

    def _finish(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the peer was faster


def _kind_and_address(sock: socket.socket, transport: asyncio.Transport) -> tuple[Kind, str]:
    """The kind of the connection, and the peer's IP address, empty where there is none."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return Kind.LOCAL, ""
    peer: Any = transport.get_extra_info("peername")
    sealed = transport.get_extra_info("sslcontext") is not None
    return (Kind.TLS if sealed else Kind.TCP), str(peer[0]) if peer else ""
