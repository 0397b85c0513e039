"""Requests are the same however their bytes are cut into packets, and what is no request is the last thing read."""

import tracemalloc

import pytest

from streamlimit.http.framing import Fault
from streamlimit.http.large_bodies import AT_ONCE, LargeBodies
from streamlimit.http.reader import MAX_BODY, MAX_DISCARDED, SLICE, Reader
from streamlimit.http.request import Peer, Request
from tests.http.raw import head

Told = tuple[str, bytes, bytes | None, bool]


def read(*packets: bytes, larger: LargeBodies | None = None, client: Peer = None) -> Reader:
    """A reader that was given these, one after the other."""
    reader = Reader(client, larger or LargeBodies({}))
    for packet in packets:
        for at in range(0, len(packet), SLICE):
            reader.feed(packet[at : at + SLICE])
    return reader


def told(reader: Reader) -> list[Told | str]:
    """Method, target, body and whether the connection is kept, of each request; the code of a fault."""
    return [
        each.code if isinstance(each, Fault) else (each.method, each.target, each.body, each.keep_alive)
        for each in reader.ready
    ]


LENGTH = head("POST /a HTTP/1.1", "Content-Length: 3") + b"abc"
CHUNKED = (
    head("POST /b HTTP/1.1", "Transfer-Encoding: chunked") + b'2;why="no\\"t"\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n'
)
PLAIN = head("GET /c?d HTTP/1.1")
OFFER = head("POST /e HTTP/1.1", "Connection: upgrade", "Upgrade: h2c", "Content-Length: 3") + b"abc"
ALL: list[Told | str] = [
    ("POST", b"/a", b"abc", True),
    ("POST", b"/b", b"abc", True),
    ("GET", b"/c?d", b"", True),
    ("POST", b"/e", b"abc", False),
]


def test_pipelined_requests_are_the_same_cut_at_every_byte() -> None:
    sent = LENGTH + CHUNKED + b"\r\n" + PLAIN + OFFER
    assert told(read(sent)) == ALL
    assert told(read(*[bytes([byte]) for byte in sent])) == ALL
    for cut in range(1, len(sent)):
        assert told(read(sent[:cut], sent[cut:])) == ALL, cut


@pytest.mark.parametrize("last", [
    OFFER,
    head("GET /z HTTP/1.1", "Connection: close"),
    head("GET /z HTTP/1.0"),
    head("GET /z HTTP/1.0", "Connection: keep-alive"),
    head("POST /z HTTP/1.1", f"Content-Length: {MAX_BODY + 1}") + b"x" * (MAX_BODY + 1),
    b"GET /z HTTP/1.1\nHost: here\n\n",
    head("GET /z HTTP/1.1", "X-A: b\r\n c"),
    head("GET /z HTTP/1.1", host=None),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
])  # fmt: skip
def test_nothing_is_read_behind_the_last_request_or_what_is_none(last: bytes) -> None:
    """Wherever the packets end."""
    for packets in ([PLAIN + last + PLAIN], [PLAIN, last, PLAIN], [PLAIN + last[:-1], last[-1:] + PLAIN]):
        reader = read(*packets)
        assert (len(reader.ready), reader.is_over) == (2, True), packets


def test_a_body_that_is_too_large_is_read_to_its_end_and_not_kept() -> None:
    for size, kept in ((MAX_BODY, True), (MAX_BODY + 1, False)):
        reader = read(head("POST /a HTTP/1.1", f"Content-Length: {size}") + b"x" * size)
        (request,) = reader.ready
        assert isinstance(request, Request)
        assert (request.body is not None, request.keep_alive, reader.is_over) == (kept, kept, not kept)
    endless = read(head("POST /a HTTP/1.1", "Content-Length: 9999999999"), b"x" * (MAX_DISCARDED + SLICE))
    assert told(endless) == [("POST", b"/a", None, False)]


def test_a_target_may_have_a_larger_body_than_others() -> None:
    for target, kept in (("/large", True), ("/other", False), ("/large?x", False)):
        reader = read(
            head(f"POST {target} HTTP/1.1", "Content-Length: 70000") + b"x" * 70_000,
            larger=LargeBodies({b"/large": 80_000}),
        )
        (request,) = reader.ready
        assert isinstance(request, Request)
        assert (request.body is not None) == kept, target


def test_strangers_have_so_many_large_bodies_kept_at_once_and_who_is_trusted_any_number() -> None:
    larger = LargeBodies({b"/large": 80_000}, trusted=lambda address: address == "10.0.0.1")
    stranger, edge = ("192.0.2.1", 1), ("10.0.0.1", 1)
    whole = head("POST /large HTTP/1.1", "Content-Length: 70000") + b"x" * 70_000

    def is_kept(client: Peer) -> bool:
        (request,) = read(whole, larger=larger, client=client).ready
        assert isinstance(request, Request)
        return request.body == b"x" * 70_000

    begun = [read(whole[:-1], larger=larger, client=stranger) for _ in range(AT_ONCE)]
    others = [read(whole[:-1], larger=larger, client=edge) for _ in range(AT_ONCE)]
    assert (is_kept(stranger), is_kept(edge), is_kept(None)) == (False, True, True)
    begun[0].feed(b"x")  # it is whole
    assert (is_kept(stranger), is_kept(stranger)) == (True, True)
    begun.pop(1).close()
    begun.append(read(whole[:-1], larger=larger, client=stranger))
    assert is_kept(stranger)
    for reader in begun + others:
        reader.close()
    assert all(read(whole[:-1], larger=larger, client=stranger).stage == "body" for _ in range(AT_ONCE))


def test_a_body_of_very_many_chunks_takes_no_more_memory_than_its_bytes() -> None:
    sent = head("POST /a HTTP/1.1", "Transfer-Encoding: chunked") + b"2\r\nxy\r\n" * (MAX_BODY // 2 - 1)
    tracemalloc.start()
    try:
        reader = read(sent)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 3 * MAX_BODY
    reader.feed(b"0\r\n\r\n")
    assert told(reader) == [("POST", b"/a", b"xy" * (MAX_BODY // 2 - 1), True)]


def test_who_asks_before_sending_is_told_to_or_why_not() -> None:
    asks = "Expect: 100-continue"
    assert read(head("POST /a HTTP/1.1", asks, "Content-Length: 3")).expects
    assert not read(head("POST /a HTTP/1.1", asks, "Content-Length: 3") + b"abc").expects
    assert not read(head("GET /a HTTP/1.1", asks)).expects
    refused = read(head("POST /a HTTP/1.1", asks, f"Content-Length: {MAX_BODY + 1}"))
    assert (told(refused), refused.is_over, refused.expects) == ([("POST", b"/a", None, False)], True, False)


def test_a_whole_url_is_read_as_its_path() -> None:
    reader = read(head("GET http://elsewhere:80/a?b HTTP/1.1") + head("OPTIONS * HTTP/1.1"))
    assert told(reader) == [("GET", b"/a?b", b"", True), ("OPTIONS", b"*", b"", True)]


def test_blanks_around_a_value_are_not_part_of_it() -> None:
    (request,) = read(head("GET /a HTTP/1.1", "Range: \t bytes=0-9 \t")).ready
    assert isinstance(request, Request)
    assert request.header(b"range") == "bytes=0-9"


def test_of_several_headers_of_one_name_the_first_counts_and_trailers_say_nothing() -> None:
    chunks = b"0\r\nAuthorization: none\r\n\r\n"
    reader = read(head("POST /a HTTP/1.1", "X-A: 1", "x-a: 2", "Transfer-Encoding: chunked") + chunks)
    (request,) = reader.ready
    assert isinstance(request, Request)
    assert (request.header(b"x-a"), request.header(b"authorization")) == ("1", None)
    assert [value for name, value in request.headers if name == b"x-a"] == [b"1", b"2"]
    assert b"authorization" not in dict(request.headers)
