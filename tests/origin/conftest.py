"""What tests of origins have in common: each module starts a service `running` on an origin `server`."""

from collections.abc import Iterator

import pytest

from tests.origin.server import Origin
from tests.service import Service


@pytest.fixture
def service(running: Service, server: Origin) -> Iterator[Service]:
    server.asked.clear()
    yield running
    server.mend()
