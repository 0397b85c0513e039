"""Standard error, line by line. Lines of one iteration of the event loop are written together at its end.

A system call for each took longer than deciding: 5 of the 40 µs that a new session costs. What is said otherwise (an
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
        self._begun = ""
        self._loop: asyncio.AbstractEventLoop | None = None  # will write them

    def add(self, line: bytes) -> None:
        """*line*, which ends as one, is written at the end of this iteration; where no loop runs, now."""
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
            loop.call_soon(self._end_of_iteration)

    def write(self, text: str) -> int:
        """At once, behind what was added before; a line whose end is still to come, with its end.

        `print` writes the end by itself. Where standard error has no buffer (`PYTHONUNBUFFERED`) the line of another
        worker would come between.
        """
        self._begun += text
        if text.endswith("\n"):
            self._write_all()
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""
        self._write_all()
        sys.stderr.flush()

    def _write_all(self) -> None:
        self._write_lines()
        begun, self._begun = self._begun, ""
        if begun:
            sys.stderr.write(begun)

    def _end_of_iteration(self) -> None:
        self._loop = None
        self._write_lines()

    def _write_lines(self) -> None:
        lines, self._lines, self._bytes = self._lines, [], 0
        if lines:
            sys.stderr.write(b"".join(lines).decode())


log_lines = LogLines()
"""The process's own."""

atexit.register(log_lines.flush)  # a loop that something stopped has no next iteration
