"""The marker of the soak tests, and what they share with the tests of edges and of stores."""

import pytest

from tests.edge.conftest import edge as edge
from tests.store.conftest import driver as driver
from tests.store.conftest import home as home


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "soak: takes minutes; only `make soak` runs it")
