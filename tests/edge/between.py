"""A proxy between an edge and streamlimit: forwards all, and records the edge's requests and reports."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socket import socket
from typing import Any

from tests.answering import Quiet, serving
from tests.service import Service

HANDED_ON = ("X-Original-URI", "X-Original-Method", "X-Forwarded-For", "Content-Type")
FAILED = (503, {}, b"")
Handed = tuple[int, dict[str, str], bytes]


@dataclass
class Post:
    """One call of an edge, in the order in which they came; `status` 0: it is not answered yet."""

    path: str
    body: bytes
    status: int = 0


class Between:
    """In front of *service*, at `port`. `posts`: what edges told.

    `delivered`: URIs of segments that viewers have; who asks for one asks ahead.

    `on_ahead`: is called with the connection of each question asked ahead, before it is handed on. `on_reports`: before
    reports are; what is false fails them.
    """

    def __init__(self, service: Service) -> None:
        self.service, self.port = service, 0
        self.posts = list[Post]()
        self.delivered, self.ahead = set[str](), list[tuple[str, str, str]]()
        self.on_ahead: Callable[[socket], None] = lambda line: None
        self.on_reports: Callable[[], bool] = lambda: True

    @contextmanager
    def running(self) -> Iterator[None]:
        between = self

        class Answers(Quiet):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                uri = self.headers.get("X-Original-URI", "")
                is_ahead = uri in between.delivered
                if is_ahead:
                    between.on_ahead(self.connection)
                self._send(*between.hand_on("GET", self.path, self.headers, None))
                if is_ahead:
                    about = self.headers["X-Original-Method"], self.headers["X-Forwarded-For"]
                    between.ahead.append((uri, *about))

            def do_POST(self) -> None:
                post = Post(self.path, self.rfile.read(int(self.headers["Content-Length"])))
                between.posts.append(post)
                is_taken = between.on_reports()
                answer = between.hand_on("POST", post.path, self.headers, post.body) if is_taken else FAILED
                post.status = answer[0]
                self._send(*answer)

            def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.reply(status, body, headers)

        with serving(Answers) as self.port:
            yield

    def hand_on(self, method: str, path: str, headers: Any, body: bytes | None) -> Handed:
        """streamlimit's answer."""
        line = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=20)
        try:
            line.request(method, path, body, {name: headers[name] for name in HANDED_ON if name in headers})
            answer = line.getresponse()
            names = ("Cache-Control", "Content-Type", "Streamlimit-Code", "Retry-After")
            kept = {name: value for name in names if (value := answer.getheader(name)) is not None}
            return answer.status, kept, answer.read()
        finally:
            line.close()
