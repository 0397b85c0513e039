"""One service for the tests of several protocols: any stream, and an edge at the address of the tests."""

from collections.abc import Iterator

import pytest

from tests.edge.programs import Edge
from tests.edge.recipes import Recipes
from tests.service import Service, started, temporary_folder
from tests.web.streams import make_long


@pytest.fixture(scope="session")
def any_stream_service() -> Iterator[Service]:
    with temporary_folder() as folder:
        streams = make_long(folder / "streams", "film")
        settings = {"streams": str(streams), "ledger_streams": "any", "trusted_proxies": ["127.0.0.1"]}
        with started(folder, segment_seconds=6, **settings) as service:
            yield service


@pytest.fixture
def edge(name: str, recipes: Recipes) -> Edge:
    """The edge *name* of the module's recipes."""
    return recipes.edge(name)
