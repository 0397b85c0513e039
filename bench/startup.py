"""The time from the start of `streamlimit serve` to the first answer of a heartbeat, and of `/readyz`.

One start that is not counted fills the caches of the system; then the median of five on each store.
"""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.kinds import HEARTBEAT
from bench.programs import HERE, cpu_of, free_port, valkey
from bench.race import status_of

STARTS = 5
PATIENCE_SECONDS = 60
READY = b"GET /readyz HTTP/1.1\r\nHost: bench\r\n\r\n"


def measure(starts: int = STARTS) -> dict[str, Any]:
    """Seconds of each start, on SQLite and on Valkey."""
    found: dict[str, list[dict[str, float]]] = {"SQLite": [], "Valkey": []}
    with ExitStack() as stack:
        server = stack.enter_context(valkey())
        for counts in [False] + [True] * starts:
            for store, lines in found.items():
                line = start(f"valkey://127.0.0.1:{server.port}/0" if store == "Valkey" else "")
                if counts:
                    lines.append(line)
    return {"starts": found}


def start(store: str) -> dict[str, float]:
    """One start."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        port, began = free_port(), time.perf_counter()
        with _serving(Path(folder), port, store or f"sqlite:///{folder}/bench.db") as process:
            first = _answered(process, port, HEARTBEAT.raw("somebody", "s1"), began)
            cpu = cpu_of(process.pid)
            return {"first answer": first, "cpu": cpu, "ready": _answered(process, port, READY, began)}


@contextmanager
def _serving(folder: Path, port: int, store: str) -> "Iterator[subprocess.Popen[bytes]]":
    command = [str(Path(sys.executable).parent / "streamlimit"), "serve", "--listen", f"127.0.0.1:{port}"]
    command += ["--store", store, "--streams", str(HERE.parent / "src/streamlimit/samples")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _answered(process: "subprocess.Popen[bytes]", port: int, request: bytes, began: float) -> float:
    """Seconds from *began* until it was answered with 200."""
    while time.perf_counter() < began + PATIENCE_SECONDS:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port)) as line:
                line.sendall(request)
                if status_of(line) == 200:
                    return time.perf_counter() - began
        except OSError:
            time.sleep(0.002)
    raise TimeoutError("no answer")
