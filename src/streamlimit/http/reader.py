"""The parser of one connection: bytes in, requests out.

A wrong or ambiguous request becomes a `Fault` in its place, and nothing is parsed after it. Knows no socket and no
clock.
"""

from collections import deque

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url
from httptools.parser.errors import HttpParserInvalidURLError

from streamlimit.http.framing import (
    MALFORMED,
    Fault,
    fault_of,
    framing_of,
    has_body,
    is_host,
    join_credentials,
    unknown_version,
)
from streamlimit.http.large_bodies import LargeBodies
from streamlimit.http.request import Headers, Peer, Request, unquoted

MAX_HEAD = 32 * 1024
"""Most bytes of a request's line and headers together; as many of its trailers."""

MAX_HEADERS = 100
MAX_URL = 16 * 1024
MAX_BODY = 64 * 1024
"""Most bytes of a body that is kept, unless the request's target may have a larger one."""

MAX_FRAMING = 16
"""Most bytes on the wire for each byte of a chunked body: chunks of one byte, with room for their extensions."""

MAX_DISCARDED = 32 * 1024 * 1024
"""Most bytes read and dropped of a body that is too large, so that its sender gets the answer."""

SLASH = ord("/")
SLICE = 4 * 1024
"""Bytes that are parsed at a time: the bound of what is parsed before it can be answered."""


class Reader:
    """The parser of one connection from *client*. `ready`: the complete requests, in their order.

    *larger*: the targets whose bodies may be larger.
    """

    stage = ""
    """The part that the incomplete request lacks: its `head`, its `body`; empty between two requests."""

    is_over = False
    """Is nothing parsed any more? The last request came, or an invalid one."""

    expects = False
    """Does the client wait for `100 Continue` before it sends the body?"""

    _received = _size = 0
    _is_unread = _is_replayed = _is_too_large = _is_large = False
    _fault: Fault | None = None
    _url = _method = b""
    _version = ""
    _read: Headers
    """The headers parsed so far; then the trailers."""
    _headers: Headers
    _fields: dict[bytes, bytes]
    _body: bytes | bytearray

    def __init__(self, client: Peer, larger: LargeBodies) -> None:
        self.ready: deque[Request | Fault] = deque()
        self._client, self._larger, self._most = client, larger, MAX_BODY
        self._parser = self._new_parser()

    def close(self) -> None:
        """Ends parsing, and breaks the cycle of references with the parser."""
        self.is_over = True
        self._end_large()
        del self._parser

    def feed(self, data: bytes) -> None:
        """Parses *data*, `SLICE` bytes at most."""
        self._received += len(data)
        while data and not self.is_over:
            try:
                self._parser.feed_data(data)
                break
            except HttpParserUpgrade as offer:  # the parser stops behind an offer of another protocol
                if self._is_unread:
                    self._read_body_after_all()
                data = data[offer.args[0] :]
            except HttpParserError as error:
                if not self.is_over:
                    self._end(self._fault or self._fault_in(error))
        if self.stage and not self.is_over:
            self._check_size()

    # The parser's callbacks

    def on_message_begin(self) -> None:
        if self.is_over:
            raise Stop
        if not self._is_replayed:
            self.stage, self._url, self._read = "head", b"", []

    def on_url(self, url: bytes) -> None:
        if not self._is_replayed:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._read.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._is_replayed:
            self._is_replayed = False
            return
        # Trailers are left out: they say neither who asks nor from where (RFC 9110, 6.5.1).
        headers, self._read = self._read, []
        parser, url, self._headers = self._parser, self._url, headers
        self._fields = fields = dict(reversed(headers))  # of several of one name the first
        self._method, self._version, offers = parser.get_method(), parser.get_http_version(), parser.should_upgrade()
        if self._received > MAX_HEAD or len(headers) > MAX_HEADERS or len(url) > MAX_URL:
            self._fault = self._large()
        is_plain = self._version == "1.1" and url[:1] == b"/" and b"#" not in url and not offers
        is_plain = is_plain and len(fields) == len(headers) and b"transfer-encoding" not in fields
        if not (is_plain and is_host(fields.get(b"host", b""))):  # few heads are worth a closer look
            self._fault = self._fault or fault_of(self._method, url, self._version, headers, fields, offers)
            join_credentials(headers, fields)
        if self._fault is not None:
            raise Stop
        self.stage, self._body, self._size, self._is_too_large = "body", b"", 0, False
        self._most = self._larger.sizes.get(url, MAX_BODY)
        if offers and has_body(fields):
            self._is_unread = True
        if b"expect" in fields and fields[b"expect"].lower() == b"100-continue" and has_body(fields):
            self._expect(fields)

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > MAX_BODY and not self._may_be_large():
            self._body, self._is_too_large = b"", True
        elif not self._body:
            self._body = body
        else:  # not a list of its parts: each takes many times its size where they are of a few bytes
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body

    def on_message_complete(self) -> None:
        if self._is_unread:
            return  # the parser takes it for another protocol's
        url, version = self._url, self._version
        if self._is_large:
            self._end_large()
        keep_alive = self._parser.should_keep_alive() and not self._is_too_large and version != "1.0"
        if url[0] != SLASH and url != b"*":  # a whole URL: its own host counts, which nothing here asks for
            parsed = parse_url(url)
            url = (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
        path, _, query = url.partition(b"?")
        body = None if self._is_too_large else bytes(self._body)
        self.ready.append(
            Request(
                self._method.decode(),
                url,
                unquoted(path) if b"%" in path else path.decode("latin-1"),
                query,
                self._headers,
                self._fields,
                body,
                self._client,
                keep_alive,
                version,
            )
        )
        self.stage, self._received, self.expects = "", 0, False
        self.is_over = not keep_alive

    def _may_be_large(self) -> bool:
        if self._size > self._most or self._is_too_large:
            return False
        self._is_large = self._is_large or self._larger.begin(self._address)
        return self._is_large

    def _end_large(self) -> None:
        if self._is_large:
            self._is_large = False
            self._larger.end(self._address)

    @property
    def _address(self) -> str:
        return self._client[0] if self._client else ""

    def _expect(self, fields: dict[bytes, bytes]) -> None:
        """Handles `Expect: 100-continue`: a body that is too large is refused at once."""
        if int(fields.get(b"content-length", b"0")) <= self._most:
            self.expects = True
            return
        self._is_too_large, self._is_unread = True, False
        self.on_message_complete()
        raise Stop

    def _read_body_after_all(self) -> None:
        """Reads the body of a request that offers another protocol, which a server may ignore (RFC 9110, 7.8).

        The parser takes the body for that protocol's bytes, so a second parser, which never saw the offer, reads it. It
        is the connection's last request: proxies may take the body for more requests.
        """
        self._is_unread, self._is_replayed = False, True
        self._parser = self._new_parser()
        self._parser.feed_data(
            self._method + b" / HTTP/1.1\r\nconnection: close\r\n" + framing_of(self._fields) + b"\r\n"
        )

    def _new_parser(self) -> HttpRequestParser:
        parser = HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_version=True)  # which there are is said in framing.py
        return parser

    # Sizes

    def _check_size(self) -> None:
        """Ends a request that is too large already, though incomplete."""
        if self.stage == "head":
            if self._received > MAX_HEAD + SLICE:
                self._end(self._too_long() or TOO_LARGE)
        elif self._received - self._size > MAX_HEAD + SLICE + MAX_FRAMING * min(self._size, self._most):
            self._end(Fault("head-too-large", "the request's trailers are too large"))
        elif self._size > MAX_DISCARDED:
            self.on_message_complete()  # it is too large

    def _large(self) -> Fault | None:
        """The fault of a complete head that is too large; None: it is not."""
        size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers)
        return self._too_long() or (TOO_LARGE if size > MAX_HEAD or len(self._headers) > MAX_HEADERS else None)

    def _too_long(self) -> Fault | None:
        if len(self._url) <= MAX_URL:
            return None
        return Fault("url-too-long", f"a URL has at most {MAX_URL} bytes")

    # The end

    def _fault_in(self, error: Exception) -> Fault:
        """The fault for an *error* of the parser."""
        if str(error) == PREFACE:
            return unknown_version()
        if isinstance(error, HttpParserInvalidURLError):
            return self._too_long() or MALFORMED
        return MALFORMED

    def _end(self, fault: Fault) -> None:
        self.ready.append(fault)
        self.is_over, self._fault = True, None


class Stop(Exception):
    """Raised in a callback to stop the parser."""


TOO_LARGE = Fault("head-too-large", f"a head has at most {MAX_HEAD} bytes and {MAX_HEADERS} headers")
PREFACE = "Pause on PRI/Upgrade"
"""The parser's error for the preface of HTTP/2."""
