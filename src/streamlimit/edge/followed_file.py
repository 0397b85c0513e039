"""A log file of another program, read as it grows (as `tail -F` does): from its end, across rotation and truncation.

For edges that cannot write to a socket (Envoy, Traefik). Of several workers the one that holds the file's lock follows.
"""

import fcntl
import os

AT_ONCE = 1024 * 1024
"""Bytes read at once."""
MAX_LINE = 64 * 1024
"""Most bytes of an incomplete line; a longer one is dropped."""


class FollowedFile:
    """A followed file. It need not exist yet, nor be writable. Knows nothing of the lines' content."""

    def __init__(self, path: str) -> None:
        self._path, self._file, self._rest = path, -1, b""
        self._is_first = True

    def new_lines(self) -> list[bytes]:
        """The lines completed since the last call; none where another worker follows the file."""
        if self._file < 0 and not self._open():
            return []
        content = os.read(self._file, AT_ONCE)
        if not content and self._was_replaced():
            self.close()
        elif not content and os.fstat(self._file).st_size < os.lseek(self._file, 0, os.SEEK_CUR):
            os.lseek(self._file, 0, os.SEEK_SET)  # emptied, to be written again from its beginning
            self._rest = b""
        *lines, self._rest = (self._rest + content).split(b"\n")
        if len(self._rest) > MAX_LINE:
            self._rest = b""
        return lines

    def close(self) -> None:
        """Closes the file, so that another worker may follow it."""
        if self._file >= 0:
            os.close(self._file)
        self._file, self._rest = -1, b""

    def _open(self) -> bool:
        """Opens the file at its end, or at its beginning where it replaces a rotated one. False: it cannot be read."""
        was_first, self._is_first = self._is_first, False
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            self._is_first = was_first
            return False
        if was_first:
            os.lseek(file, 0, os.SEEK_END)
        self._file = file
        return True

    def _was_replaced(self) -> bool:
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            return False  # renamed, and there is no new file yet: the last lines may still come
