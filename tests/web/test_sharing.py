"""The sharing guard (rule 8): what people do with one session, and the verdict on each.

A playback URL given to a friend who watches the same film from its start: the owner plays on; the friend is refused
(`session-shared`) from the third segment on that follows one of the owner's (`max_returns` = 2).
A friend who watches something else with it: ping-pong; after 2 returns within n·X who comes back is refused.
A friend behind the same address as the owner: nobody is told apart, TCP knows no people. One seat, as paid for.
A friend elsewhere, with `grant_address`: 403 at once. A phone that roams to another /24 then needs a new URL.
Two tabs with sessions of their own: two seats. Two tabs that share a session: one seat on the same film; on two
films refused, as with the friend.
A phone that roams plays on; a seek right after it is one repeat of 2.
A household behind one address, each with a session of their own: each a seat, never `session-shared`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service import Service, started, temporary_folder
from tests.web.streams import Client, make_long

HOME, FRIEND, ABROAD = "127.0.0.1", "127.0.0.2", "127.0.1.1"
SHARED = (409, "session-shared")


@pytest.fixture(scope="module")
def streams() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield make_long(folder, "film", "news")


@pytest.fixture(scope="module")
def service(streams: Path) -> Iterator[Service]:
    with temporary_folder() as folder, started(folder, streams=str(streams), segment_seconds=60) as service:
        yield service


def _codes(answers: list[Any]) -> list[tuple[int, str | None]]:
    return [(a.status, None if a.status < 400 else a.json["code"]) for a in answers]


def test_a_friend_with_the_playback_url_is_refused_and_the_owner_plays_on(service: Service, user: str) -> None:
    owner, friend = Client(service, HOME), Client(service, FRIEND)
    grant = owner.open(user, "tv")["grant"]
    owners, friends = [], []
    for n in range(12):
        owners.append(owner.play(grant, "film", 10 + n))
        friends.append(friend.play(grant, "film", n))
    assert {answer.status for answer in owners} == {200}
    assert _codes(friends)[:2] == [(200, None)] * 2
    assert set(_codes(friends)[2:]) <= {SHARED, (429, "too-many-requests")}
    assert SHARED in _codes(friends)
    assert service.watching(user)["live_sessions"] == 1


def test_a_friend_with_something_else_and_the_owner_cannot_both_go_on(service: Service, user: str) -> None:
    owner, friend = Client(service, HOME), Client(service, FRIEND)
    grant = owner.open(user, "tv")["grant"]
    answers = []
    for n in range(8):
        answers.append(owner.play(grant, "film", n))
        answers.append(friend.play(grant, "news", n))
    codes = _codes(answers)
    assert SHARED in codes
    refused_from = codes.index(SHARED)
    later = codes[refused_from:]
    assert (later[0::2].count((200, None)) == 0) or (later[1::2].count((200, None)) == 0), "one of the two is out"
    assert service.watching(user)["live_sessions"] == 1


def test_a_friend_behind_the_same_address_is_not_told_apart(service: Service, user: str) -> None:
    owner, friend = Client(service, HOME), Client(service, HOME)
    grant = owner.open(user, "tv")["grant"]
    answers = [client.play(grant, "film", n + shift) for n in range(8) for client, shift in ((owner, 10), (friend, 0))]
    assert {answer.status for answer in answers} == {200}
    assert service.watching(user)["live_sessions"] == 1, "one seat, as paid for"


def test_with_grant_address_a_friend_elsewhere_gets_nothing(streams: Path, tmp_path: Path) -> None:
    with started(tmp_path, streams=str(streams), grant_address=True, segment_seconds=60) as service:
        owner = Client(service, HOME)
        grant = owner.open("ann", "tv")["grant"]
        assert owner.play(grant, "film", 0).status == 200
        assert Client(service, FRIEND).play(grant, "film", 1).status == 200, "the same /24"
        for answer in (
            Client(service, ABROAD).play(grant, "film", 1),
            Client(service, ABROAD).call("GET", f"/play/{grant}/film/index.m3u8"),
            Client(service, ABROAD).call("GET", "/v1/users/ann/sessions", Authorization=f"Bearer {grant}"),
        ):
            assert (answer.status, answer.json["code"]) == (403, "forbidden")
        fresh = Client(service, ABROAD).open("ann", "tv")["grant"]
        assert Client(service, ABROAD).play(fresh, "film", 1).status == 200, "the phone asks for a new URL"


def test_two_tabs_with_sessions_of_their_own_are_two_seats(service: Service, user: str) -> None:
    tab = Client(service, HOME)
    grants = [tab.open(user, name)["grant"] for name in ("tab-1", "tab-2")]
    answers = [tab.play(grant, "film", n) for n in range(6) for grant in grants]
    assert {answer.status for answer in answers} == {200}
    assert service.watching(user)["live_sessions"] == 2


def test_two_tabs_that_share_a_session_on_one_film_are_one_seat(service: Service, user: str) -> None:
    tab = Client(service, HOME)
    grant = tab.open(user, "tab")["grant"]
    assert {tab.play(grant, "film", n // 2).status for n in range(20)} == {200}
    assert service.watching(user)["live_sessions"] == 1


def test_two_tabs_that_share_a_session_on_two_films_are_refused(service: Service, user: str) -> None:
    tab = Client(service, HOME)
    grant = tab.open(user, "tab")["grant"]
    answers = [tab.play(grant, stream, n) for n in range(6) for stream in ("film", "news")]
    assert SHARED in _codes(answers)


def test_a_roaming_phone_plays_on(service: Service, user: str) -> None:
    home, street = Client(service, HOME), Client(service, ABROAD)
    grant = home.open(user, "phone")["grant"]
    answers = [home.play(grant, "film", n) for n in range(10)]
    answers += [street.play(grant, "film", n) for n in range(8, 20)]  # and what it had fetched is fetched again
    answers += [home.play(grant, "film", n) for n in range(20, 25)]
    answers += [street.play(grant, "film", 5), street.play(grant, "film", 6)]  # roams and seeks back
    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize("streams_of_each", [("film", "news", "film"), ("film", "film", "film")])
def test_a_household_behind_one_address_is_counted_and_not_suspected(
    service: Service, user: str, streams_of_each: tuple[str, ...]
) -> None:
    router = Client(service, HOME)
    watching = [(router.open(user, f"room-{n}", stream)["grant"], stream) for n, stream in enumerate(streams_of_each)]
    for n in range(10):
        for shift, (grant, stream) in enumerate(watching):
            assert router.play(grant, stream, n + shift).status == 200
    form = {"user_id": user, "session_id": "room-4", "stream_id": "film"}
    refused = router.call("POST", "/v1/sessions", form)
    assert (refused.status, refused.json["code"]) == (409, "session-limit")
