"""Three overlapping requests of one session: every order, every outcome, every place of a departure."""

import pytest

from tests.e2e.test_overlaps_http import new_or_sitting, orders_of, play_all, service, two_or_one_stream, with_departure
from tests.service import Service

__all__ = ["service"]


@pytest.mark.parametrize("streams", ["aaa", "aab", "aba", "abb"])
@new_or_sitting
def test_three_requests_in_every_order_with_every_outcome(service: Service, streams: str, is_sitting: bool) -> None:
    play_all(service, orders_of(3), streams, is_sitting)


@two_or_one_stream
@new_or_sitting
def test_two_requests_in_every_order_with_a_departure_anywhere(
    service: Service, streams: str, is_sitting: bool
) -> None:
    play_all(service, two_or_one_stream, with_departure(orders_of(2), places=4), streams, is_sitting)


@pytest.mark.parametrize("streams", ["aab", "abb"])
def test_three_requests_in_every_order_with_a_departure_anywhere(service: Service, streams: str) -> None:
    play_all(service, two_or_one_stream, with_departure(orders_of(3), places=6), streams, is_sitting=False)
