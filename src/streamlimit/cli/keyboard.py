"""Keys of the terminal, read without Enter; its mode is restored afterwards."""

import os
import select
import signal
import termios
import tty
from types import FrameType, TracebackType
from typing import Self


class Keyboard:
    """The keys of the terminal at standard input, within a `with` block; without a terminal there are none."""

    def __enter__(self) -> Self:
        self._file = 0  # standard input, which may be closed
        self._before = termios.tcgetattr(self._file) if os.isatty(self._file) else None
        if self._before is not None:
            tty.setcbreak(self._file)  # ctrl-C is a signal as before
        self._resized, self._bell = os.pipe()
        os.set_blocking(self._bell, False)
        self._handler = signal.signal(signal.SIGWINCH, _note)
        self._woken = signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._woken)
        signal.signal(signal.SIGWINCH, self._handler)
        os.close(self._resized)
        os.close(self._bell)
        if self._before is not None:
            termios.tcsetattr(self._file, termios.TCSAFLUSH, self._before)

    def wait(self, seconds: float) -> str:
        """The keys pressed within *seconds*; empty if none, or when the window's size changes."""
        files = [self._resized, *([] if self._before is None else [self._file])]
        ready, _, _ = select.select(files, (), (), seconds)
        if self._resized in ready:
            os.read(self._resized, 4_096)
        if self._file not in ready:
            return ""
        pressed = os.read(self._file, 64)
        if not pressed:  # the terminal is gone
            raise KeyboardInterrupt
        return pressed.decode(errors="replace")


def _note(_signal: int, _frame: FrameType | None) -> None:
    """The handler of the signal, which does nothing: having one makes a byte come through the pipe."""
