"""Connections of our server without a service behind them: a handler of the test's own."""

from types import SimpleNamespace
from typing import Any

from uvicorn.server import ServerState

from streamlimit.delivery.wire import Wire
from streamlimit.http.connection import Connection, Handler, Parts
from streamlimit.http.limits import Connections
from streamlimit.http.repeats import Repeats
from streamlimit.http.wire import Tap
from streamlimit.web.outgoing import fault_answer


def make_parts(tap: Tap = Wire.tap, guard: Connections | None = None) -> Parts:
    """What the connections of one worker share."""
    return Parts(guard or Connections(0, 60.0), tap, fault_answer, Repeats())


def connection(
    handle: Handler,
    state: ServerState | None = None,
    keep_alive_seconds: float = 60.0,
    tap: Tap = Wire.tap,
    guard: Connections | None = None,
    parts: Parts | None = None,
) -> Connection:
    """A connection whose requests *handle* answers."""
    config: Any = SimpleNamespace(loaded_app=SimpleNamespace(handle=handle), timeout_keep_alive=keep_alive_seconds)
    return Connection(config, state or ServerState(), {}, parts=parts or make_parts(tap, guard))
