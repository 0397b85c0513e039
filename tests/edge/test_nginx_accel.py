"""`deliver = "accel"` behind Debian's nginx with deploy/nginx-accel.conf, as it is shipped."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.edge.programs import Edge, nginx, problem
from tests.needs import needs
from tests.service import OPERATOR_KEY, SAMPLES, Service, service_of_file, started, temporary_folder
from tests.streams import BIG, make_stream

ACCEL = {"deliver": "accel", "trusted_proxies": ["127.0.0.1"]}


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    with temporary_folder() as folder:
        make_stream(folder / "streams", "film", 8)
        shutil.copytree(SAMPLES / "orchard", folder / "streams/orchard")
        (folder / "streams/elsewhere").mkdir()
        (folder / "streams/elsewhere/a b%.ts").write_bytes(b"elsewhere")
        settings = {"streams": str(folder / "streams"), "edge_log": f"unix:{folder}/edge.sock", "segment_seconds": 6}
        with (
            started(folder, **ACCEL, ledger_streams="any", **settings) as service,
            nginx("nginx-accel.conf", folder, folder / "streams", service) as edge,
        ):
            yield edge


def test_nginx_hands_out_what_streamlimit_names(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    whole = edge.get(f"/play/{grant}/film/0.ts")
    assert (whole.status, len(whole.body), whole.headers["content-type"]) == (200, BIG, "video/mp2t")
    assert (whole.headers["cache-control"], whole.headers["streamlimit-segment"]) == ("no-store", "0.ts")
    edge.await_state(user, "s", "active")
    some = edge.get(f"/play/{grant}/film/1.ts", Range="bytes=1-3")
    assert (some.status, some.body) == (206, whole.body[1:4])
    assert edge.get(f"/play/{grant}/film/1.ts", If_None_Match=some.headers["etag"]).status == 304
    assert edge.call("HEAD", f"/play/{grant}/film/1.ts").headers["content-length"] == str(BIG)


def test_a_play_begins_as_ever_and_a_real_player_plays_it(edge: Edge, user: str) -> None:
    needs("ffmpeg")
    told = edge.open(user, "s", "orchard")
    assert f"{told['grant']}~" in edge.get(told["playback_url"]).body.decode()
    url = f"http://127.0.0.1:{edge.port}{told['playback_url']}"
    subprocess.run(["ffmpeg", "-v", "error", "-t", "3", "-i", url, "-f", "null", "-"], check=True, timeout=60)
    edge.await_state(user, "s", "active")


def test_a_stream_that_is_no_folder_of_ours_is_handed_out_too(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s", "elsewhere")["grant"]
    assert edge.get(f"/play/{grant}/elsewhere/a%20b%25.ts").body == b"elsewhere"
    assert edge.get("/_streams/elsewhere/a%20b%25.ts").status == 404  # not by its own name
    assert edge.get(f"/play/{grant}/elsewhere/../film/0.ts").status in (400, 404)


def test_the_fourth_is_refused_with_status_and_body(edge: Edge, user: str) -> None:
    late = edge.open(user, "late")["grant"]
    edge.service.post(f"/v1/users/{user}/sessions/late/end", {"grant": late, "keep_grant": True})
    for number in range(3):
        edge.get(f"/play/{edge.open(user, f's{number}')['grant']}/film/0.ts")
    answer = edge.get(f"/play/{late}/film/0.ts")
    assert (answer.status, problem(answer)["code"], len(problem(answer)["sessions"])) == (409, "session-limit", 3)


def test_an_aborted_segment_is_not_confirmed(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    edge.hang_up(f"/play/{grant}/film/0.ts")
    edge.await_state(user, "s", None)
    edge.get(f"/play/{grant}/film/1.ts")
    edge.await_state(user, "s", "active")


def test_a_termination_bites_at_the_next_segment(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    assert edge.get(f"/play/{grant}/film/0.ts").status == 200
    edge.service.call("DELETE", f"/v1/users/{user}/sessions/s?reason=enough", key=OPERATOR_KEY)
    answer = edge.get(f"/play/{grant}/film/1.ts")
    assert (answer.status, problem(answer)["reason"]) == (410, "enough")


def test_who_came_through_nginx_is_no_edge(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    assert edge.get("/edge/auth", X_Original_URI=f"/play/{grant}/film/0.ts").status == 404


# Without nginx: what streamlimit itself says


alone = service_of_file(**ACCEL, accel_prefix="/in/side/")


def test_media_is_a_redirect_within_nginx_and_the_following_segment_confirms(alone: Service, user: str) -> None:
    stream = alone.get("/v1/streams").json["streams"][0]
    form = {"user_id": user, "session_id": "s", "stream_id": stream["stream_id"]}
    told = alone.post("/v1/sessions", form).json
    playlist = f"/play/{told['grant']}~1f/{stream['stream_id']}/"
    names = [line for line in _media_playlist(alone, playlist, stream["entry"]) if line and not line.startswith("#")]
    answers = [alone.get(playlist + name) for name in names[:2]]
    for name, answer in zip(names, answers, strict=False):
        assert (answer.status, answer.body, answer.headers["cache-control"]) == (200, b"", "no-store")
        assert answer.headers["x-accel-redirect"] == f"/in/side/{stream['stream_id']}/{name}"
    found = alone.watching(user)["sessions"][0]
    assert (found["state"], found["segment"]) == ("active", names[0])
    assert "x-accel-redirect" not in alone.call("HEAD", playlist + names[2]).headers
    assert alone.call("POST", playlist + names[2]).status == 405


def _media_playlist(service: Service, base: str, entry: str) -> list[str]:
    """The lines of the first media playlist, whose names lie beside the entry."""
    text = service.get(base + entry).body.decode()
    names = [line for line in text.splitlines() if line.endswith(".m3u8") and not line.startswith("#")]
    if not names:
        return text.splitlines()
    folder = names[0].rpartition("/")[0]
    lines = service.get(base + names[0]).body.decode().splitlines()
    return [f"{folder}/{line}" if folder and line and not line.startswith("#") else line for line in lines]
