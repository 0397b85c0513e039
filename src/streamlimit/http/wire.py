"""The interface of a wire that the server needs: a client connection as the delivery of bodies sees it."""

import asyncio
from collections.abc import Awaitable
from typing import Protocol


class Wire(Protocol):
    """One client connection below HTTP; its maker (`Tap`) knows how a receipt is read from the kernel."""

    @property
    def watcher(self) -> object | None:
        """The delivery that uses the wire at the moment; None: there is none."""

    @property
    def can_pour(self) -> bool:
        """Can bytes of a file go to the kernel past the transport?"""

    def pour(self, head: bytes, file: int, first: int, left: int) -> Awaitable[None] | None:
        """Gives the kernel *head*, and *left* bytes of *file* from *first* on."""

    def nudge(self) -> None:
        """Called when bytes came from the client, perhaps with an acknowledgement."""

    def lost(self, error: Exception | None) -> None:
        """Called when the transport is gone."""

    def abort(self) -> None:
        """Ends the connection with a reset; what is queued is dropped."""


class Tap(Protocol):
    """Makes a wire of a transport. Raises OSError where no descriptor is left."""

    def __call__(self, transport: asyncio.Transport, /) -> Wire: ...
