"""A service whose viewers have tokens of a provider."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Service, started, temporary_folder, wait_until
from tests.web.provider import SERVICE_KEY, Provider, running_provider


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[Service, Provider]]:
    """Viewers have tokens, and keys are fetched often."""
    with running_provider() as provider, temporary_folder() as folder:
        settings = provider.settings(jwks_seconds=1, leeway_seconds=0) | {"service_keys": [SERVICE_KEY]}
        with started(Path(folder), segment_seconds=60, **settings) as service:
            key = provider.token("anyone")
            wait_until(lambda: service.get("/v1/streams", key=key).status == 200, 5, "the keys")
            yield service, provider
