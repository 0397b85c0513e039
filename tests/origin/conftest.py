"""What tests of origins have in common: each module starts a service `running` on an origin `server`."""

from collections.abc import Iterator

import pytest

from tests.origin.server import Origin, origin
from tests.service import Service, started, temporary_folder
from tests.web.folders import make_streams


@pytest.fixture(scope="module")
def server() -> Iterator[Origin]:
    """An origin with streams."""
    with temporary_folder() as folder, origin(make_streams(folder / "streams")) as found:
        yield found


@pytest.fixture(scope="module")
def running(server: Origin, request: pytest.FixtureRequest) -> Iterator[Service]:
    """A service with that origin's streams, and the module's SETTINGS."""
    with temporary_folder() as folder, started(folder, streams=server.url, **request.module.SETTINGS) as service:
        yield service


@pytest.fixture
def service(running: Service, server: Origin) -> Iterator[Service]:
    server.asked.clear()
    yield running
    server.mend()
