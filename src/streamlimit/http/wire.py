"""What the server asks of a wire: the client's end of a connection, as the delivery of bodies sees it."""

import asyncio
from collections.abc import Awaitable
from typing import Protocol


class Wire(Protocol):
    """One client connection below HTTP; its maker (`Tap`) knows how a receipt is read from the kernel."""

    @property
    def watcher(self) -> object | None:
        """Whoever delivers a body on it at the moment."""

    @property
    def can_pour(self) -> bool:
        """Can bytes of a file go to the kernel past the transport?"""

    def pour(self, head: bytes, file: int, first: int, left: int) -> Awaitable[None] | None:
        """Gives the kernel *head*, and *left* bytes of *file* from *first* on."""

    def nudge(self) -> None:
        """Something came from the client."""

    def lost(self, error: Exception | None) -> None:
        """The transport is gone."""

    def abort(self) -> None:
        """Ends the connection with a reset; what is queued is dropped."""


class Tap(Protocol):
    """Makes a wire of a transport. Raises OSError where no descriptor is left."""

    def __call__(self, transport: asyncio.Transport, /) -> Wire: ...
