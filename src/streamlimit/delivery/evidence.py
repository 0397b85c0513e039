"""Evidence of receipt by the kind of connection: how many bytes of a body the client has, and whether it has all.

Counts are lower bounds, so errors are towards "not received".
"""

from abc import ABC, abstractmethod

from streamlimit.delivery.wire import Kind, Wire

_TLS_RECORD_BYTES = 16_384  # of plain text, at most
_TLS_LEAST_OVERHEAD = 21  # a record's, of the leanest suite (ChaCha20-Poly1305 in TLS 1.2)
_TLS_MOST_OVERHEAD = 85  # CBC with SHA-384 and padding
_TLS_HEADROOM = 20_480  # a record that is not whole yet, and the response's headers
_QUIET_LOOKS = 3


class Evidence(ABC):
    """The evidence for one body. *handed*: bytes of it that the kernel took before (on TCP)."""

    eager_looks = 0
    """In how many successive iterations of the loop a verdict is worth asking for."""

    is_prompt = True
    """Is a verdict worth asking for right after the last byte was written?"""

    _acknowledged = 0
    _dropped = False

    def __init__(self, wire: Wire, handed: int = 0) -> None:
        self._wire, self._handed = wire, handed

    @abstractmethod
    def hand(self, n: int) -> None:
        """Notes that *n* more bytes of the body were passed to the server."""

    def mark(self) -> int:
        """A number that changes with each acknowledgement; the number of written bytes when none is outstanding."""
        return self._handed - self._wire.outstanding()

    @abstractmethod
    def acknowledged(self) -> int:
        """The bytes of the body that the peer certainly has. Never falls."""

    @abstractmethod
    def verdict(self) -> bool | None:
        """Has the whole body, all that was handed over, arrived? None: not known yet."""


class TcpEvidence(Evidence):
    """Evidence on TCP: the body has arrived when as many bytes were acknowledged as were written up to its end.

    Counting is for the end of a connection, when the server's own buffer is lost with the transport. Before, and for a
    body that the kernel took whole, an empty queue is enough; so `_origin` (the connection's count at the body's first
    byte) is read only where that buffer is used.
    """

    is_prompt = False  # no acknowledgement comes that fast
    _origin: int | None = None
    _waiting: int | None = None
    """The outstanding bytes at the last verdict, for the mark that is asked for next."""
    _arrived = False

    def hand(self, n: int) -> None:
        wire = self._wire
        if wire.is_lost or wire.transport.is_closing():
            self._dropped = self.is_prompt = True
            return
        self._handed += n
        if self._origin is None and wire.transport.get_write_buffer_size():
            self._origin = wire.written() - self._handed

    def mark(self) -> int:
        waiting, self._waiting = self._waiting, None
        return self._handed - (self._wire.outstanding() if waiting is None else waiting)

    def acknowledged(self) -> int:
        if self._arrived:
            return self._handed
        if not self._wire.is_closed and (self._origin is not None or self._handed):
            known = self._wire.tcp()[1] - self._first()
            self._acknowledged = max(self._acknowledged, min(known, self._handed))
        return self._acknowledged

    def verdict(self) -> bool | None:
        if self._arrived or self._dropped:
            return self._arrived
        wire = self._wire
        waiting = self._waiting = wire.outstanding()  # before the count, so that none that comes between is missed
        if waiting == 0 and not (wire.is_lost or wire.transport.is_closing()):
            self._arrived = True
            return True
        is_over, acknowledged = wire.tcp() if waiting or wire.is_closing else (False, 0)
        if is_over or wire.is_closing:
            self._arrived = acknowledged - self._first() >= self._handed
        if self._arrived:
            return True
        # Lost with an empty queue: the rest was in the server's own buffer and never went out.
        return False if is_over or (wire.is_lost and waiting == 0) else None

    def _first(self) -> int:
        """The connection's count at the first byte; not read before where the kernel took the body whole."""
        if self._origin is None:
            self._origin = self._wire.written() - self._handed
        return self._origin


class TlsEvidence(Evidence):
    """Evidence on TLS: encrypted bytes are counted, which is not exact for the last few.

    The buffer of the transport below TLS cannot be read. But when the kernel's queue is empty that transport writes on
    in the next iteration of the loop; so nothing is left when the connection stays quiet for some iterations.
    """

    eager_looks = _QUIET_LOOKS
    _records = _quiet = 0

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._origin = self._goal = self._quiet_at = 0 if wire.is_closing else wire.written()
        self._dropped = wire.is_closing

    def hand(self, n: int) -> None:
        if self._wire.is_closing:
            self._dropped = True
            return
        self._handed += n
        self._records += -(-n // _TLS_RECORD_BYTES)
        self._goal = self._origin + self._handed + self._records * _TLS_LEAST_OVERHEAD

    def acknowledged(self) -> int:
        if not self._wire.is_closed:
            overhead = self._records * _TLS_MOST_OVERHEAD + _TLS_HEADROOM
            known = self._wire.tcp()[1] - self._origin - overhead
            self._acknowledged = max(self._acknowledged, min(known, self._handed))
        return self._acknowledged

    def verdict(self) -> bool | None:
        if self._dropped:
            return False
        waiting = self._wire.queued()
        is_over, acknowledged = self._wire.tcp()
        if not self._wire.is_closing:
            waiting = self._wire.outstanding()
            self._goal = max(self._goal, acknowledged + waiting)
        reached = acknowledged >= self._goal
        if reached and (is_over or self._wire.is_lost):
            return True  # the rest is TLS's close_notify
        if is_over or (self._wire.is_lost and waiting == 0):
            return False
        return True if self._is_quiet(reached and waiting == 0, acknowledged) else None

    def _is_quiet(self, empty: bool, acknowledged: int) -> bool:
        if not empty or acknowledged != self._quiet_at:
            self._quiet = 0
        self._quiet_at = acknowledged
        self._quiet += empty
        return self._quiet >= _QUIET_LOOKS


class LocalEvidence(Evidence):
    """Evidence on a Unix socket: its queue (with the kernel's overhead) is what the peer has not read yet."""

    def hand(self, n: int) -> None:
        self._dropped = self._dropped or self._wire.is_closing
        self._handed += n

    def acknowledged(self) -> int:
        known = self.mark()  # before asking for a reset, which empties the queue
        if not self._wire.is_closing and not self._wire.was_reset():
            self._acknowledged = max(self._acknowledged, known)
        return self._acknowledged

    def verdict(self) -> bool | None:
        waiting = self._wire.outstanding()  # before asking for a reset, as above
        if self._dropped or self._wire.was_reset():
            return False
        # While it closes, a reset is still possible. Lost without one means that its buffer was written.
        if waiting or (self._wire.is_closing and not self._wire.is_lost):
            return None
        return True


_TCP, _TLS = Kind.TCP, Kind.TLS  # looking up a member takes long


def evidence_on(wire: Wire, handed: int = 0) -> Evidence:
    """The evidence for a body on *wire*, of which (on TCP) the kernel took *handed* bytes before."""
    if wire.kind is _TCP:
        return TcpEvidence(wire, handed)
    return TlsEvidence(wire) if wire.kind is _TLS else LocalEvidence(wire)
