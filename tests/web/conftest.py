"""A provider of tokens, a service whose viewers have them, and a connection."""

from collections.abc import Iterator

import pytest

from tests.e2e.clients import Client, connected
from tests.service import Service, started, temporary_folder, wait_until
from tests.web.provider import SERVICE_KEY, Provider, running_provider


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[Service, Provider]]:
    """Viewers have tokens, and keys are fetched often."""
    with running_provider() as provider, temporary_folder() as folder:
        settings = provider.settings(jwks_seconds=1, leeway_seconds=0) | {"service_keys": [SERVICE_KEY]}
        with started(folder, segment_seconds=60, **settings) as service:
            key = provider.token("anyone")
            wait_until(lambda: service.get("/v1/streams", key=key).status == 200, 5, "the keys")
            yield service, provider


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def line(service: Service) -> Iterator[Client]:
    """A connection to the file's own `service`."""
    with connected(service.port) as client:
        yield client
