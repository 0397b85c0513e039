"""A terminal of a given size, and what a program has drawn on it: for programs that draw the whole screen anew."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.service import wait_until

SECONDS = 60
ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"
SHOWN_CURSOR = "\x1b[?25h"
HOME = "\x1b[H"
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3\d|4\d|9\d|10\d)(?:;\d+)*m")


class Terminal:
    """One with a program in front of it. `written`: all that came so far."""

    def __init__(self, master: int, slave: int, process: "subprocess.Popen[bytes]") -> None:
        self._master, self._slave, self.process, self.written = master, slave, process, ""

    @property
    def screen(self) -> list[str]:
        """The lines of the last whole drawing, without colours."""
        drawn = self.written.split(HOME)
        return [line.rstrip() for line in _SEQUENCE.sub("", drawn[-1]).replace("\r", "").split("\n")]

    @property
    def has_colours(self) -> bool:
        return _COLOUR.search(self.written) is not None

    def modes(self) -> list[Any]:
        """How it treats what is typed."""
        return termios.tcgetattr(self._slave)[:4]

    def resize(self, columns: int, lines: int) -> None:
        """As somebody who pulls at the window: its program is told."""
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        os.kill(self.process.pid, signal.SIGWINCH)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def shows(self, pattern: str) -> None:
        """Returns when that is on the screen."""
        wait_until(lambda: self._reads() and re.search(pattern, "\n".join(self.screen)), SECONDS, pattern)

    def ended(self) -> int:
        """The exit code; all that was written until then is read."""
        deadline = time.monotonic() + SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.written[-2_000:]
            self._reads()
        self._reads()
        return self.process.returncode

    def _reads(self) -> bool:
        while select.select([self._master], (), (), 0.05)[0]:
            self.written += os.read(self._master, 65_536).decode()
        return True


@contextmanager
def terminal(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], columns: int = 80, lines: int = 24
) -> Iterator[Terminal]:
    """*command* in front of a terminal of that size, which is its own."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def sit_down() -> None:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored in what a shell runs in the background
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave, preexec_fn=sit_down
    )
    try:
        yield Terminal(master, slave, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)
