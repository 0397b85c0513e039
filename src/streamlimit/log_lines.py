"""Lines of standard error: those of one iteration of the event loop are written together at its end.

A system call for each line took 5 of the 40 µs that a new session costs. Other output (an error, a warning) is written
at once, behind the lines before it.
"""

import asyncio
import atexit
import sys

PIPE_BYTES = 4_096
"""Most bytes of one write: so many go into a pipe atomically, also where several workers share it (PIPE_BUF)."""


class LogLines:
    """A text file's interface to the buffered lines."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._bytes = 0
        self._begun = ""
        self._loop: asyncio.AbstractEventLoop | None = None  # will write them

    def add(self, line: bytes) -> None:
        """Adds *line*, with its newline, to be written at the end of this iteration; at once where no loop runs."""
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
        """Writes *text* at once, behind earlier lines; an incomplete line is held until its end.

        `print` writes the newline separately; without a buffer (`PYTHONUNBUFFERED`) another worker's line could come
        between.
        """
        self._begun += text
        if text.endswith("\n"):
            self._write_all()
        return len(text)

    def flush(self) -> None:
        """Writes all added lines."""
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
"""The lines of this process."""

atexit.register(log_lines.flush)  # a loop that something stopped has no next iteration
