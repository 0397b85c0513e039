"""The check that the limit is kept when a user's players come at once: eight requests of eight sessions together."""

import socket
from collections.abc import Callable, Iterable
from random import randrange

USERS, TOGETHER, LIMIT = 200, 8, 3
PATIENCE = 20


def users_over(port: int, raw: Callable[[str, str], bytes]) -> int:
    """Of `USERS` users, those of whom more than `LIMIT` sessions were admitted."""
    salt = randrange(10**9)
    lines = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(TOGETHER)]
    try:
        return sum(_admitted(lines, f"race-{salt}-{number}", raw) > LIMIT for number in range(USERS))
    finally:
        for line in lines:
            line.close()


def _admitted(lines: list[socket.socket], user: str, raw: Callable[[str, str], bytes]) -> int:
    for number, line in enumerate(lines):
        line.sendall(raw(user, f"s{number}"))
    return sum(status_of(line) == 200 for line in lines)


def answered(port: int, requests: Iterable[bytes], status: int) -> None:
    """Asks one after another on one connection. Raises `RuntimeError` where an answer is not *status*.

    Whom 503 tells that a busy machine's store was too slow for a moment asks again, a few times in all.
    """
    patience = PATIENCE
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        for request in requests:
            line.sendall(request)
            while (found := status_of(line)) == 503 and patience:
                patience -= 1
                line.sendall(request)
            if found != status:
                raise RuntimeError(f"{found}, not {status}, for {request.partition(b' HTTP')[0].decode()}")


def status_of(line: socket.socket) -> int:
    """Of the next answer, which is read whole."""
    text = b""
    while b"\r\n\r\n" not in text:
        text += _more(line)
    head, _, body = text.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += _more(line)
    return int(head[9:12])


def _more(line: socket.socket) -> bytes:
    part = line.recv(65_536)
    if not part:
        raise ConnectionError("it hung up")
    return part
