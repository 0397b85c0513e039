"""Answers off the hot path: a whole one over ASGI, headers as they go out, the answer to a request that is none."""

from collections.abc import Sequence
from functools import lru_cache

from streamlimit.http.asgi import Send
from streamlimit.http.exchange import lines_of
from streamlimit.http.framing import Fault
from streamlimit.web.problems import SECURITY_HEADERS, Problem, headers_of


def encode_headers(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """*headers* in the form of ASGI."""
    return [(_spelled(name), value.encode("latin-1")) for name, value in headers.items()]


@lru_cache(maxsize=256)
def _spelled(name: str) -> bytes:
    return name.lower().encode("latin-1")


async def send_whole(
    send: Send, status: int, headers: dict[str, str], body: bytes = b"", cookies: Sequence[str] = ()
) -> None:
    """Sends a complete answer."""
    encoded = encode_headers(headers) + [(b"set-cookie", cookie.encode("latin-1")) for cookie in cookies]
    if status != 204:
        encoded.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def fault_answer(fault: Fault) -> tuple[int, bytes, bytes]:
    """Status, header lines and body of the answer to an invalid request, which no handler sees."""
    problem = Problem(*fault)
    return problem.status, lines_of(encode_headers(headers_of(problem) | SECURITY_HEADERS)), problem.body()
