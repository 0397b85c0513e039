"""A receiver of call backs as an operator would write it: `standardwebhooks` verifies everything that arrives.

How it answers is in the test's hands: `answer` is called with each event and gives status, headers and a pause.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

from standardwebhooks import Webhook, WebhookVerificationError

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Got(NamedTuple):
    """One request: its event, when it came, what was answered (0: the connection was closed on it)."""

    id: str
    event: Any
    at: float
    status: int

    @property
    def session(self) -> tuple[str, str]:
        session = self.event["data"]["session"]
        return session["user_id"], session["session_id"]

    @property
    def type(self) -> str:
        return str(self.event["type"]).removeprefix("session.")


class Reply(NamedTuple):
    """What to answer, and after how long. Status 0 closes the connection without a word."""

    status: int = 204
    headers: Mapping[str, str] = MappingProxyType({})
    after: float = 0.0


class Receiver:
    """Listens on a loopback port as long as the block lasts; `stop` and `start` in between keep the port."""

    def __init__(self, secrets: tuple[str, ...] = (SECRET,)) -> None:
        self.got: list[Got] = []
        self.invalid: list[str] = []
        self.connections = 0
        self.answer: Callable[[Any], Reply] = lambda event: Reply()
        self._hooks = [Webhook(s if s.startswith("whsec_") else s.encode()) for s in secrets]
        self._lock = threading.Lock()
        self.port = 0

    def __enter__(self) -> "Receiver":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = _Server(("127.0.0.1", self.port), self)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Nobody listens any more; open connections are cut."""
        self._server.shutdown()
        self._server.server_close()
        self._server.cut_all()

    @property
    def accepted(self) -> list[Got]:
        with self._lock:
            return [got for got in self.got if 200 <= got.status < 300]

    def wait_for(self, condition: Callable[[], bool], seconds: float = 10, what: str = "the call backs") -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}; got {len(self.got)}"
            time.sleep(0.005)

    def take(self, headers: dict[str, str], body: bytes) -> Reply:
        try:
            for hook in self._hooks:  # each signature that was promised must be there
                hook.verify(body, headers)
        except WebhookVerificationError as error:
            with self._lock:
                self.invalid.append(str(error))
            return Reply(400)
        event = json.loads(body)
        reply = self.answer(event)
        if reply.after:
            time.sleep(reply.after)
        with self._lock:
            self.got.append(Got(headers["webhook-id"], event, time.time(), reply.status))
        return reply


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], receiver: Receiver) -> None:
        self.receiver, self.open = receiver, set[Any]()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.receiver.connections += 1
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def cut_all(self) -> None:
        for request in list(self.open):
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # cut connections are what tests are about


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        body = self.rfile.read(length)
        if len(body) < length:  # its sender was killed in the middle of it
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.receiver.take(headers, body)
        if reply.status == 0:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", "2")
        self.end_headers()
        if reply.status != 204:
            self.wfile.write(b"no")

    def log_message(self, format: str, *args: Any) -> None:
        return
