"""The marker of the soak tests, and the edges that they share with the tests of edges."""

import pytest

from tests.edge.conftest import edge as edge


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "soak: takes minutes; only `make soak` runs it")
