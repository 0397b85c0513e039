"""Loopback ports for the servers that tests start, one after the other, each given once.

Below the range from which the system gives outgoing connections theirs (32768 on Linux, `ip_local_port_range`): such
a connection can take a port between the look at it and the server's start. Each of xdist's workers has a part of its
own for the same reason.
"""

import os
import socket
from itertools import count
from random import randrange

FIRST, LAST = 10_000, 19_999
BUS = 10_000  # a Redis Cluster's node also listens this much higher

_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_width = (LAST + 1 - FIRST) // _workers
_steps = count(randrange(_width))  # another run on this machine begins elsewhere


def free_port() -> int:
    """A port that nobody listens on, nor on the one `BUS` above it."""
    for step in _steps:
        port = FIRST + _worker * _width + step % _width
        if _is_free(port) and _is_free(port + BUS):
            return port
    raise AssertionError("no end of ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
