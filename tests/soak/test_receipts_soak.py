"""500 times of 500 who reads a segment to its end and closes at once has received it."""

import pytest

from tests.e2e.clients import Client
from tests.e2e.test_receipts_http import Ask, both_doors, confirm_each, observer, service
from tests.service import Service

__all__ = ["observer", "service"]


@both_doors
@pytest.mark.parametrize("extra", ["", "Connection: close\r\n"], ids=["keep-alive", "connection-close"])
def test_500_times_of_500(service: Service, observer: Client, ask: Ask, extra: str) -> None:
    confirm_each(service, observer, ask, extra, times=500)
