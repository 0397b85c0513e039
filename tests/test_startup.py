"""A start imports what its first answer needs; what takes long and is not needed waits. How long: bench/startup.py."""

import subprocess
import sys

import pytest

SERVING = "import sys, streamlimit.cli, streamlimit.server, streamlimit.store.{store}; print(*sys.modules)"


@pytest.mark.parametrize("store", ["sqlite", "valkey"])
def test_neither_the_control_plane_nor_call_backs_nor_an_http_client_are_imported(store: str) -> None:
    command = [sys.executable, "-c", SERVING.format(store=store)]
    modules = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    other = {"sqlite": "valkey", "valkey": "sqlite"}[store]
    late = {"fastapi", "httpx", "jinja2", "standardwebhooks", "streamlimit.callbacks", f"streamlimit.store.{other}"}
    assert late & modules == set()
    assert "streamlimit.bootstrap" in modules
