"""The framing of requests is unambiguous: what RFC 9112 calls wrong or ambiguous is refused."""

import pytest

from streamlimit.http.framing import has_body, is_host
from tests.http.raw import answers_in, connected, head, post, send, statuses, until_closed
from tests.service import OPERATOR_KEY, Service, service_of_file

BEAT = "/v1/users/{}/sessions/tv/heartbeat"
BODY = b'{"stream_id": "orchard"}'
SMUGGLED = head("DELETE /v1/users/victim/sessions HTTP/1.1", "Connection: close")
UPGRADES = ["foo", "websocket", "TLS/1.0", "h2c", "H2C", "h2c, foo", "x-h2c"]

service = service_of_file(segment_seconds=60)


@pytest.mark.parametrize("call", ["GET /v1/sessions", "GET /v1/stats", "POST /v1/segments", f"POST {BEAT.format('a')}"])
@pytest.mark.parametrize("credentials", [("key", "other"), ("other", "key"), ("key", "key"), ("Basic x", "key")])
def test_two_credentials_are_none(service: Service, call: str, credentials: tuple[str, str]) -> None:
    """A proxy in front may have looked at either of them."""
    known = {"key": f"Bearer {OPERATOR_KEY}", "other": "Bearer other"}
    lines = [f"Authorization: {known.get(each, each)}" for each in credentials]
    assert statuses(service.port, [head(f"{call} HTTP/1.1", *lines, "Connection: close")]) == [401]


def upgrade(path: str, kind: str, body: bytes, *headers: str) -> tuple[bytes, bytes]:
    """Head and body of a POST that offers another protocol."""
    framing = headers or (f"Content-Length: {len(body)}",)
    return head(f"POST {path} HTTP/1.1", "Connection: upgrade", f"Upgrade: {kind}", *framing), body


@pytest.mark.parametrize("kind", UPGRADES)
@pytest.mark.parametrize("path", ["/v1/segments", BEAT.format("upgrader"), "/v1/sessions", "/nowhere"])
def test_an_upgrade_with_a_body_is_one_request_and_the_last(service: Service, kind: str, path: str) -> None:
    """Its body is no request, whatever it looks like and whenever it comes."""
    sent = upgrade(path, kind, SMUGGLED)
    for pieces in (
        sent,
        [b"".join(sent)],
        [sent[0][:40], sent[0][40:], sent[1]],
        [sent[0] + SMUGGLED[:9], SMUGGLED[9:]],
    ):
        assert len(statuses(service.port, pieces)) == 1, pieces


@pytest.mark.parametrize("kind", ["foo", "h2c"])
def test_an_upgrade_with_a_body_in_chunks_is_one_request_too(service: Service, kind: str) -> None:
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    sent = upgrade("/v1/segments", kind, chunk, "Transfer-Encoding: chunked")
    for pieces in (sent, [sent[0], chunk[: chunk.index(b"\r\n") + 2], SMUGGLED, b"\r\n0\r\n\r\n"]):
        assert len(statuses(service.port, pieces)) == 1


@pytest.mark.parametrize("kind", ["foo", "h2c"])
@pytest.mark.parametrize("first", [post(BEAT.format("first"), {"stream_id": "orchard"}), head("GET /healthz HTTP/1.1")])
def test_an_upgrade_with_a_body_behind_another_request_takes_nothing_from_that(
    service: Service, kind: str, first: bytes
) -> None:
    sent = upgrade("/v1/segments", kind, SMUGGLED)
    for pieces in ([first + b"".join(sent)], [first + sent[0], sent[1]], [first, *sent]):
        assert [status // 100 for status in statuses(service.port, pieces)] in ([2, 4], [2, 2]), pieces


@pytest.mark.parametrize("kind", UPGRADES)
def test_an_upgrade_without_a_body_is_passed_over(service: Service, kind: str) -> None:
    offer = "GET /healthz HTTP/1.1", "Connection: upgrade", f"Upgrade: {kind}"
    for extra in ((), ("Content-Length: 0",)):
        with connected(service.port) as line:
            send(line, head(*offer, *extra), head("GET /healthz HTTP/1.1", "Connection: close"))
            assert [answer.status for answer in answers_in(until_closed(line))] == [200, 200]


AMBIGUOUS = {
    "no Host": (head("GET /healthz HTTP/1.1", host=None), 400),
    "an empty Host": (head("GET /healthz HTTP/1.1", host=""), 400),
    "two Hosts": (head("GET /healthz HTTP/1.1", "Host: here"), 400),
    "two Hosts of HTTP/1.0": (head("GET /healthz HTTP/1.0", "Host: here"), 400),
    "a bad Host of HTTP/1.0": (head("GET /healthz HTTP/1.0", host="a/b"), 400),
    "HTTP/2": (head("GET /healthz HTTP/2.0"), 505),
    "HTTP/2 without a Host": (head("GET /healthz HTTP/2.0", host=None), 505),
    "HTTP/3": (head("GET /healthz HTTP/3.0"), 505),
    "HTTP/9": (head("GET /healthz HTTP/9.1"), 505),
    "HTTP/0": (head("GET /healthz HTTP/0.9"), 505),
    "no version": (head("GET /healthz"), 505),
    "a preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "another coding before chunked": (head("POST /v1/segments HTTP/1.1", "Transfer-Encoding: gzip, chunked"), 501),
    "chunked and identity": (head("POST /v1/segments HTTP/1.1", "Transfer-Encoding: identity, chunked"), 501),
    "another coding alone": (head("POST /v1/segments HTTP/1.1", "Transfer-Encoding: gzip"), 501),
    "nearly chunked": (head("POST /v1/segments HTTP/1.1", "Transfer-Encoding: xchunked"), 501),
    "codings in two lines": (
        head("POST /v1/segments HTTP/1.1", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked"), 501,
    ),
    "chunks of HTTP/1.0": (head("POST /v1/segments HTTP/1.0", "Transfer-Encoding: chunked"), 400),
    "a length beside chunks": (
        head("POST /v1/segments HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked"), 400,
    ),
    "chunks beside a length": (
        head("POST /v1/segments HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 5"), 400,
    ),
    "two lengths": (head("POST /v1/segments HTTP/1.1", "Content-Length: 2", "Content-Length: 3"), 400),
    "the same length twice": (head("POST /v1/segments HTTP/1.1", "Content-Length: 2", "Content-Length: 2"), 400),
    "a list of lengths": (head("POST /v1/segments HTTP/1.1", "Content-Length: 2, 2"), 400),
    "a length with a sign": (head("POST /v1/segments HTTP/1.1", "Content-Length: +2"), 400),
    "a negative length": (head("POST /v1/segments HTTP/1.1", "Content-Length: -2"), 400),
    "a length in hexadecimal": (head("POST /v1/segments HTTP/1.1", "Content-Length: 0x2"), 400),
    "an endless length": (head("POST /v1/segments HTTP/1.1", "Content-Length: 99999999999999999999"), 400),
    "a folded line": (head("GET /healthz HTTP/1.1", "X-A: b\r\n c"), 400),
    "a folded first header": (b"GET /healthz HTTP/1.1\r\n Host: here\r\n\r\n", 400),
    "bare line feeds": (b"GET /healthz HTTP/1.1\nHost: here\n\n", 400),
    "one bare line feed": (b"GET /healthz HTTP/1.1\r\nHost: here\nX-A: b\r\n\r\n", 400),
    "a bare carriage return": (head("GET /healthz HTTP/1.1", "X-A: b\rc"), 400),
    "a NUL": (head("GET /healthz HTTP/1.1", "X-A: b\0c"), 400),
    "a space before the colon": (head("GET /healthz HTTP/1.1", "X-A : b"), 400),
    "a space in a name": (head("GET /healthz HTTP/1.1", "X A: b"), 400),
    "no name": (head("GET /healthz HTTP/1.1", ": b"), 400),
    "no colon": (head("GET /healthz HTTP/1.1", "X-A"), 400),
    "a space in the path": (head("GET /healthz x HTTP/1.1"), 400),
    "no path": (head("GET HTTP/1.1"), 400),
    "a relative path": (head("GET healthz HTTP/1.1"), 400),
    "no method that there is": (head("FETCH /healthz HTTP/1.1"), 400),
    "a tunnel": (head("CONNECT here:80 HTTP/1.1"), 405),
    "a tunnel with a body": (head("CONNECT here:80 HTTP/1.1", f"Content-Length: {len(SMUGGLED)}") + SMUGGLED, 405),
}  # fmt: skip


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_is_wrong_or_ambiguous_is_refused_in_words_and_ends_the_connection(service: Service, name: str) -> None:
    """Whole, and in two packets; nothing behind it is read as a request."""
    sent, status = AMBIGUOUS[name]
    for pieces in ([sent + SMUGGLED], [sent, SMUGGLED], [sent[:-3], sent[-3:] + SMUGGLED]):
        with connected(service.port) as line:
            send(line, *pieces)
            (answer,) = answers_in(until_closed(line))
        assert (answer.status, answer.json["status"]) == (status, status)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["connection"] == "close"


def test_what_is_refused_behind_another_request_takes_nothing_from_that(service: Service) -> None:
    beat = post(BEAT.format("behind"), {"stream_id": "orchard"})
    for first in (beat, head("GET /healthz HTTP/1.1"), head("GET /openapi.json HTTP/1.1")):
        assert statuses(service.port, [first + head("GET /healthz HTTP/1.1", host="a b")]) == [200, 400]


@pytest.mark.parametrize("host", ["here", "HERE.example.org.", "a_b.c-d", "127.0.0.1", "here:8080", "here:", "[::1]",
                                  "[2001:db8::1]:443", "[::ffff:1.2.3.4]"])  # fmt: skip
def test_a_host_that_there_can_be_is_served(service: Service, host: str) -> None:
    assert is_host(host.encode())
    assert statuses(service.port, [head("GET /healthz HTTP/1.1", "Connection: close", host=host)]) == [200]


@pytest.mark.parametrize("host", ["", "a b", "a\tb", "a/b", "a@b", "a..b", ".a", ".", "a:b", "a:1:2", "a:99999",
                                  "a:123456", "a:-1", "[::1", "::1", "[::1]x", "[1.2.3.4]", "[:::]", "a,b", "a?b",
                                  "a#b", "a\\b", "a%00b", "h\xf6st", "http://a", "a;b", "<a>", '"a"'])  # fmt: skip
def test_a_host_that_there_cannot_be_is_none(service: Service, host: str) -> None:
    assert not is_host(host.encode("latin-1"))
    assert statuses(service.port, [head("GET /healthz HTTP/1.1", "Connection: close", host=host)]) == [400]


def test_http_1_0_needs_no_host(service: Service) -> None:
    assert statuses(service.port, [head("GET /healthz HTTP/1.0", host=None)]) == [200]


@pytest.mark.parametrize("given", ["chunked", "Chunked", "CHUNKED", " chunked "])
def test_chunks_are_read_however_they_are_spelled(service: Service, given: str) -> None:
    form = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    sent = head(f"POST {BEAT.format('spelled')} HTTP/1.1", f"Transfer-Encoding:{given}", "Connection: close")
    assert statuses(service.port, [sent + form]) == [200]


def test_a_head_tells_whether_a_body_follows() -> None:
    for framing in ([(b"content-length", b"1")], [(b"transfer-encoding", b"chunked")], [(b"content-length", b"00 10")]):
        assert has_body(dict([(b"host", b"h"), *framing]))
    for framing in ([], [(b"content-length", b"0")], [(b"content-length", b"00 ")]):
        assert not has_body(dict([(b"host", b"h"), *framing]))
