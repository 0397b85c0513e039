"""The browser that a file's tests share."""

from collections.abc import Iterator

import pytest

from tests.e2e.browser import Browser, chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running
