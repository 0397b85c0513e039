"""The Lambda Runtime API as a small server, and a function under the real `awslambdaric` that asks it for work."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.answering import Quiet

NEXT = "/2018-06-01/runtime/invocation/next"


class Function:
    """A running function; `invoke` gives what its handler returned, or the error that it raised."""

    def __init__(self) -> None:
        self.events: queue.Queue[tuple[str, Any, float]] = queue.Queue()
        self.answers: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def invoke(self, event: Any = None, seconds: float = 30) -> tuple[str, Any]:
        """One invocation with a time limit of so long: `response` or `error`, and its document."""
        self.events.put((f"request-{time.monotonic_ns()}", event or {}, time.time() + seconds))
        return self.answers.get(timeout=60)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler_for(function: Function) -> type[BaseHTTPRequestHandler]:
    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            request_id, event, deadline = function.events.get()
            self.reply(
                200,
                json.dumps(event).encode(),
                {
                    "Lambda-Runtime-Aws-Request-Id": request_id,
                    "Lambda-Runtime-Deadline-Ms": str(round(deadline * 1_000)),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:000000000000:function:test",
                    "Content-Type": "application/json",
                },
            )

        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["content-length"])))
            function.answers.put((self.path.rsplit("/", 1)[1], document))
            self.reply(202, b'{"status":"OK"}')

    return Handler


@contextmanager
def running(handler: str, settings: dict[str, Any]) -> Iterator[Function]:
    """*handler* in a process of its own, as Lambda runs it."""
    function = Function()
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIMIT_")}
    chosen = {
        f"STREAMLIMIT_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "awslambdaric", handler],
        env=own | chosen | {"AWS_LAMBDA_RUNTIME_API": function.address},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    try:
        yield function
    finally:
        process.kill()
        process.wait()
        function.close()
