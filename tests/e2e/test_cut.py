"""Downloads of a session that lost its seat are cut, however many others end meanwhile."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from streamlimit.policy import MARKS_KEPT
from tests.e2e.clients import Client, connected
from tests.service import OPERATOR_KEY, Service, started, temporary_folder
from tests.streams import make_stream

X = 3  # long enough that nobody is given up while the others end: nobody reads meanwhile
PARALLEL = 4
LARGE = 40_000_000
PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """What the kernels take ahead is less than the segment: the server has to go on sending."""
    with temporary_folder() as folder:
        make_stream(folder / "streams", "film", 2, LARGE)
        make_stream(folder / "streams", "short", 2, 1_000)
        settings = {"streams": str(folder / "streams"), "segment_seconds": X}
        with started(folder, **settings) as service:
            yield service


def are_cut(clients: list[Client], length: int) -> bool:
    """All read on, slowly enough that the whole would take long, until the server hangs up on each."""
    left, deadline, size = list(clients), time.monotonic() + PATIENCE_SECONDS, 50_000
    for _ in range(length // size):
        left = [client for client in left if goes_on(client, size)]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return not left


def goes_on(client: Client, size: int) -> bool:
    try:
        return client.read(size) == size
    except ConnectionResetError:
        return False


def opened(service: Service, user: str, session: str) -> str:
    form = {"user_id": user, "session_id": session, "stream_id": "film"}
    return str(service.post("/v1/sessions", form).json["grant"])


@pytest.mark.parametrize("leave", ["end", "terminate"])
def test_all_downloads_of_a_session_that_left_are_cut(service: Service, leave: str) -> None:
    user = f"leaver-{leave}"
    grant = opened(service, user, "tv")
    request = f"GET /play/{grant}/film/1.ts HTTP/1.1\r\nHost: t\r\n\r\n".encode()
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(service.port, receive_buffer=4096)) for _ in range(PARALLEL)]
        assert {client.send(request).head().length for client in clients} == {LARGE}
        path = f"/v1/users/{user}/sessions/tv"
        if leave == "terminate":
            assert service.call("DELETE", path, key=OPERATOR_KEY).status == 204
        else:
            assert service.post(f"{path}/end").status == 204
        for k in range(MARKS_KEPT + 1):
            opened(service, user, f"s{k}")
            service.call("DELETE", f"/v1/users/{user}/sessions/s{k}")
        assert are_cut(clients, LARGE)
    sessions = service.watching(user)["sessions"]
    assert sessions == []
    if leave == "end":
        answer = service.get(f"/play/{grant}/film/1.ts")
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
        assert "ask for a new playback URL" in answer.json["detail"]


def test_a_download_of_the_stream_that_a_session_left_is_cut(service: Service) -> None:
    grant = opened(service, "rover", "tv")
    with connected(service.port, receive_buffer=4096) as client:
        request = f"GET /play/{grant}/film/1.ts HTTP/1.1\r\nHost: t\r\n\r\n".encode()
        assert client.send(request).head().length == LARGE
        assert service.get(f"/play/{grant}/short/0.ts").status == 200
        assert are_cut([client], LARGE)
    assert service.get(f"/play/{grant}/short/1.ts").status == 200, "and the session goes on"
