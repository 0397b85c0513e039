"""An origin's answers without media (304, an index) neither take a seat nor give one back; with media they take one."""

import threading

import pytest

from tests.origin import server as does
from tests.origin.server import Handler, Origin
from tests.service import Service
from tests.web.folders import INIT_BYTES, content, packed_range

UNCHANGED = {"If-None-Match": '"known"'}


SETTINGS = {"segment_seconds": 60, "origin_seconds": 20}
"""Of the service `running` (conftest.py)."""


def _reserved(service: Service, user: str, stream: str = "tiny", session: str = "s") -> str:
    """The path of a playback URL up to its stream; its session has a reservation."""
    opened = service.post("/v1/sessions", {"user_id": user, "session_id": session, "stream_id": stream})
    return f"/play/{opened.json['grant']}/{stream}/"


def _free(service: Service, user: str, stream: str = "tiny", session: str = "s") -> str:
    """The same, of a session without a seat."""
    path = _reserved(service, user, stream, session)
    end = {"grant": path.split("/")[2], "keep_grant": True}
    service.post(f"/v1/users/{user}/sessions/{session}/end", end)
    return path


def _seats(service: Service, user: str) -> list[tuple[str, str]]:
    return [(each["session_id"], each["state"]) for each in service.watching(user)["sessions"]]


@pytest.mark.parametrize("validator", [UNCHANGED, {"If-Modified-Since": "Tue, 01 Dec 2026 00:00:00 GMT"}])
def test_what_is_unchanged_leaves_a_reservation_as_it_was(
    service: Service, server: Origin, user: str, validator: dict[str, str]
) -> None:
    path = _reserved(service, user)
    before = service.watching(user)["sessions"]
    server.misbehave("/tiny/a.ts", does.status(304))
    answer = service.get(path + "a.ts", headers=validator)
    assert (answer.status, answer.body, answer.headers.get("content-length")) == (304, b"", None)
    assert service.watching(user)["sessions"] == before
    assert service.get(path + "b.ts").body == content("b.ts")  # on the same connections


def test_no_seat_is_held_while_the_origin_compares(service: Service, server: Origin, user: str) -> None:
    path, asked, compared = _free(service, user), threading.Event(), threading.Event()

    def compare(handler: Handler, _content: bytes) -> None:
        asked.set()
        compared.wait(20)
        handler.answer(304, b"")

    server.misbehave("/tiny/a.ts", compare)
    found: list[int] = []
    viewer = threading.Thread(target=lambda: found.append(service.get(path + "a.ts", headers=UNCHANGED).status))
    viewer.start()
    assert asked.wait(20)
    assert _seats(service, user) == []
    compared.set()
    viewer.join()
    assert (found, _seats(service, user)) == ([304], [])


def test_what_has_changed_takes_a_seat(service: Service, user: str) -> None:
    answer = service.get(_free(service, user) + "a.ts", headers=UNCHANGED)
    assert (answer.status, answer.body, _seats(service, user)) == (200, content("a.ts"), [("s", "active")])


def test_who_has_no_seat_does_not_ask_the_origin_what_is_unchanged(service: Service, server: Origin, user: str) -> None:
    path = _free(service, user)
    for name in ("1", "2", "3"):
        assert service.segment(user, name, "tiny").status == 200
    server.asked.clear()
    assert service.get(path + "a.ts", headers=UNCHANGED).status == 409
    assert "/tiny/a.ts" not in server.targets()


def test_an_origin_that_sends_media_where_an_index_was_asked_for_takes_a_seat(
    service: Service, server: Origin, user: str
) -> None:
    asked = {"Range": f"bytes=0-{INIT_BYTES - 1}"}
    path = _free(service, user, "packed") + "all.mp4"
    assert len(service.get(path, headers=asked).body) == INIT_BYTES
    assert _seats(service, user) == []
    server.misbehave("/packed/all.mp4", does.whole_always)
    assert len(service.get(path, headers=asked).body) > packed_range(3)[1]
    assert _seats(service, user) == [("s", "active")]


def test_an_index_is_refused_whose_origin_sends_media_to_a_fourth(service: Service, server: Origin, user: str) -> None:
    path = _reserved(service, user, "packed")
    for name in ("2", "3"):
        assert service.segment(user, name, "tiny").status == 200

    def seat_another(handler: Handler, body: bytes) -> None:
        service.post(f"/v1/users/{user}/sessions/s/end", {"grant": path.split("/")[2], "keep_grant": True})
        assert service.segment(user, "4", "tiny").status == 200
        does.whole_always(handler, body)

    server.misbehave("/packed/all.mp4", seat_another)
    assert service.get(path + "all.mp4", headers={"Range": "bytes=0-9"}).status == 409
    assert [each for each, _ in _seats(service, user)] == ["2", "3", "4"]
