"""Standard error, where one line follows the other. Those of one turn of the event loop leave together at its end.

A system call for each took longer than deciding: 5 of the 40 µs that somebody new costs. What is said otherwise (an
error, a warning) waits for nothing, but for those lines that came before it.
"""

import asyncio
import atexit
import sys

PIPE_BYTES = 4_096
"""Of one write at most: so much goes into a pipe in one piece, also where several workers share it (PIPE_BUF)."""


class LogLines:
    """Stands where a text file would."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._bytes = 0
        self._loop: asyncio.AbstractEventLoop | None = None  # will write them

    def add(self, line: bytes) -> None:
        """*line*, which ends as one, is written at the end of this turn; where no loop runs, now."""
        self._bytes += len(line)
        if self._bytes > PIPE_BYTES:
            self._write_lines()
            self._bytes = len(line)
        self._lines.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write_lines()
            return
        if loop is not self._loop:
            self._loop = loop
            loop.call_soon(self._end_of_turn)

    def write(self, text: str) -> int:
        """At once, behind what was added before."""
        self._write_lines()
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Nothing is held back."""
        self._write_lines()
        sys.stderr.flush()

    def _end_of_turn(self) -> None:
        self._loop = None
        self._write_lines()

    def _write_lines(self) -> None:
        lines, self._lines, self._bytes = self._lines, [], 0
        if lines:
            sys.stderr.write(b"".join(lines).decode())


log_lines = LogLines()
"""The process's own."""

atexit.register(log_lines.flush)  # a loop that something stopped has no next turn
