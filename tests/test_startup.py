"""A start imports what its first answer needs; what takes long and is not needed waits. How long: bench/startup.py.

The same goes for a command, and for a function of Lambda.
"""

import os
import subprocess
import sys

import pytest

SERVING = "import sys, streamlimit.cli, streamlimit.server, streamlimit.store.{store}; print(*sys.modules)"


COMMAND = "import sys, streamlimit.cli; print(*sys.modules)"
FUNCTION = "import sys, streamlimit.aws; print(*sys.modules)"


def _imported(code: str) -> set[str]:
    """Not measured by `make coverage`, which imports something itself."""
    command = [sys.executable, "-c", code]
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return set(subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout.split())


@pytest.mark.parametrize("store", ["sqlite", "valkey"])
def test_neither_the_control_plane_nor_call_backs_nor_an_http_client_are_imported(store: str) -> None:
    modules = _imported(SERVING.format(store=store))
    other = {"sqlite": "valkey", "valkey": "sqlite"}[store]
    late = {"fastapi", "httpx", "jinja2", "standardwebhooks", "streamlimit.webhooks", f"streamlimit.store.{other}"}
    assert late & modules == set()
    assert "streamlimit.bootstrap.worker" in modules


def test_a_command_waits_for_nothing_that_only_another_one_needs() -> None:
    modules = _imported(COMMAND)
    assert {"streamlimit.bootstrap", "streamlimit.server", "streamlimit.web", "streamlimit.delivery"} & modules == set()
    assert {"uvicorn", "httpx", "valkey", "sqlite3"} & modules == set()
    assert "streamlimit.cli.commands" in modules


def test_a_function_serves_nothing() -> None:
    modules = _imported(FUNCTION)
    assert {"streamlimit.web", "streamlimit.delivery", "uvicorn", "fastapi"} & modules == set()
    assert "streamlimit.bootstrap.webhooks" in modules
