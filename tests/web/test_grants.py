"""Grants: what they carry, what they are worth, and when they die."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlimit.model import Device
from streamlimit.policy import MARKS_KEPT
from streamlimit.web.grants import BadGrant, Grant, Grants, streams_carried
from tests.service import OPERATOR_KEY, Service, service_of_file, started, temporary_folder, wait_until
from tests.web.provider import Provider, running_provider

OLD, NEW = "the-old-grant-key-0123456789", "the-new-grant-key-0123456789"
FULL = Grant("u", "s", 2e9, 4, frozenset({"a", "b"}), Device("id", "Living room", "tv"), "00ff00ff", 1_750_000_000_000)


# What they say


@pytest.mark.parametrize("grant", [FULL, Grant("u", "s", 2e9), Grant("u", "s", 2e9, device="tv", streams=frozenset())])
def test_what_is_written_is_read(grant: Grant) -> None:
    grants = Grants([NEW], 60)
    assert grants.verify(grants.write(grant)) == grant


def test_a_plain_grant_is_short() -> None:
    assert len(Grants([NEW], 60).sign("user-12345", "s-0123456789abcdef01234567", generation=1_750_000_000_000)) < 220


def test_a_long_description_of_a_device_and_many_streams_do_not_make_a_long_url() -> None:
    grants = Grants([NEW], 60)
    long = Device("d" * 128, "\N{CLAPPER BOARD}" * 128, "t" * 128)
    assert grants.verify(grants.sign("u", "s", device=long)).device == Device("d" * 128, None, "t" * 128)
    longest = Device("\N{CLAPPER BOARD}" * 128, "n", "\N{TELEVISION}" * 128)
    assert grants.verify(grants.sign("u", "s", device=longest)).device == Device(type="\N{TELEVISION}" * 128)
    assert grants.verify(grants.sign("u", "s", device="\N{CLAPPER BOARD}" * 200)).device is None
    assert len(grants.sign("u", "s", device=longest)) < 1_200
    many = frozenset(f"stream-{n}" for n in range(500))
    assert streams_carried(many, "stream-7") == {"stream-7"}
    assert streams_carried(frozenset({"a"}), "a") == {"a"}
    assert streams_carried(None, "a") is None


def test_the_first_key_signs_and_all_verify() -> None:
    before, rotated, after = Grants([OLD], 60), Grants([NEW, OLD], 60), Grants([NEW], 60)
    old, new = before.sign("u", "s"), rotated.sign("u", "s")
    assert rotated.verify(old).user_id == after.verify(new).user_id == "u"
    for grants, text in ((after, old), (before, new)):
        with pytest.raises(BadGrant):
            grants.verify(text)


def _bad() -> Iterator[tuple[str, str]]:
    good = Grants([NEW], 60).sign("u", "s")
    head, body, mac = good.split(".")
    yield "another key's", Grants([OLD], 60).sign("u", "s")
    yield "empty", ""
    yield "dots", ".."
    yield "no MAC", f"{head}.{body}."
    yield "truncated", good[:-5]
    yield "MAC of another body", f"{head}.{Grants([NEW], 60).sign('v', 's').split('.')[1]}.{mac}"
    yield "head of alg none", f"eyJhbGciOiJub25lIn0.{body}."
    yield "ten kilobytes", good + "x" * 10_000
    yield "ten kilobytes of dots", "." * 10_000
    yield "no ASCII", "é" * 50
    yield "a NUL", "\0" + good
    yield "white space", good + " "
    yield "upper case", good.upper()


BAD = dict(_bad())


@pytest.mark.parametrize("name", BAD)
def test_is_no_grant(name: str) -> None:
    with pytest.raises(BadGrant):
        Grants([NEW], 60).verify(BAD[name])


def test_a_grant_seen_before_costs_a_look_up() -> None:
    grants = Grants([NEW], 60)
    text = grants.sign("u", "s", generation=1)
    assert grants.verify(text) is grants.verify(text)


# What they are worth to a running service


service = service_of_file(grant_keys=[NEW], segment_seconds=60)


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[Service, Provider]]:
    """With tokens, grants that hold for a second, and sessions that expire soon."""
    with running_provider() as provider, temporary_folder() as folder:
        settings = provider.settings() | {"grant_keys": [NEW], "grant_seconds": 1.5, "segment_seconds": 0.5}
        with started(folder, **settings) as service:
            yield service, provider


def _open(service: Service, user: str, session: str = "tv", key: str | None = None, **more: Any) -> dict[str, Any]:
    form = {"user_id": user, "session_id": session, "stream_id": "orchard"} | more
    answer = service.post("/v1/sessions", form, key=key)
    assert answer.status in (200, 201), answer.body
    told: dict[str, Any] = answer.json
    return told


def _media(grant: str) -> str:
    return f"/play/{grant}/orchard/video-360p/000.ts"


@pytest.fixture(scope="module")
def media(service: Service) -> str:
    """A media segment of the sample, as its playlists name it."""
    grant = _open(service, "finder")["grant"]
    folder = ""
    grant += "~1"  # under a play each playlist is as it is
    name = service.get(f"/play/{grant}/orchard/master.m3u8").body.decode()
    while True:
        name = next(line for line in name.splitlines() if line and not line.startswith("#"))
        if not name.endswith(".m3u8"):
            return folder + name
        playlist = folder + name
        folder = playlist.rpartition("/")[0] + "/" if "/" in playlist else ""
        name = service.get(f"/play/{grant}/orchard/{playlist}").body.decode()


def _play(service: Service, grant: str, media: str) -> int:
    return service.get(f"/play/{grant}/orchard/{media}").status


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_grant_opens_nothing(service: Service, name: str) -> None:
    from urllib.parse import quote

    answer = service.get(f"/play/{quote(BAD[name], safe='')}/orchard/master.m3u8")
    assert (answer.status, answer.json["code"]) in ((401, "unauthenticated"), (404, "not-found")), answer.body
    assert b"eyJ" not in answer.body


def test_a_grant_is_dead_with_its_session(service: Service, media: str) -> None:
    first = _open(service, "ann")["grant"]
    assert _play(service, first, media) == 200
    service.call("DELETE", "/v1/users/ann/sessions/tv")
    for path in (media, "master.m3u8"):
        answer = service.get(f"/play/{first}/orchard/{path}")
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated"), path
    bearer = {"user_id": "ann", "session_id": "tv", "stream_id": "orchard"}
    assert service.post("/v1/segments", bearer, key=first).status == 401
    assert service.post("/v1/sessions", bearer, key=first).status == 401
    assert service.watching("ann")["live_sessions"] == 0
    second = _open(service, "ann")["grant"]
    assert _play(service, second, media) == 200, "opened again it has a new one"
    assert service.get("/play/" + first + "/orchard/master.m3u8").status == 200, "the session sits: any of its grants"


def test_a_dead_grant_stays_dead_whatever_else_ends_and_the_answer_helps(service: Service, media: str) -> None:
    grant = _open(service, "eva")["grant"]
    service.post("/v1/users/eva/sessions/tv/end", {"grant": grant})
    for number in range(MARKS_KEPT + 1):
        _open(service, "eva", f"s{number}")
        service.call("DELETE", f"/v1/users/eva/sessions/s{number}")
    answer = service.get(f"/play/{grant}/orchard/{media}")
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert "ask for a new playback URL" in answer.json["detail"]


def test_an_end_that_keeps_the_grant_frees_the_seat_and_the_url_goes_on(service: Service, media: str) -> None:
    grant = _open(service, "flo")["grant"]
    service.post("/v1/users/flo/sessions/tv/end", {"grant": grant, "keep_grant": True})
    assert service.watching("flo")["live_sessions"] == 0
    assert _play(service, grant, media) == 200
    service.post("/v1/users/flo/sessions/tv/end", {"grant": grant, "keep_grant": True})
    service.call("DELETE", "/v1/users/flo/sessions/tv")
    assert _play(service, grant, media) == 401, "it sat no more, and its grant dies all the same"


def test_a_viewers_replacements_undo_no_operators_termination(service: Service, media: str) -> None:
    grant = _open(service, "gil")["grant"]
    service.call("DELETE", "/v1/users/gil/sessions/tv", key=OPERATOR_KEY)
    for session in ("a", "b", "r0"):
        _open(service, "gil", session)
    for number in range(MARKS_KEPT + 1):
        _open(service, "gil", f"r{number + 1}", replace=f"r{number}")
    assert _play(service, grant, media) == 410


def test_a_terminated_session_answers_410_not_401(service: Service, media: str) -> None:
    grant = _open(service, "bea")["grant"]
    service.call("DELETE", "/v1/users/bea/sessions/tv", key=OPERATOR_KEY)
    assert _play(service, grant, media) == 410


def test_a_grant_survives_that_its_session_expires(guarded: tuple[Service, Provider]) -> None:
    service, provider = guarded
    key = provider.token("cid")
    told = _open(service, "cid", key=key)
    wait_until(lambda: service.get("/v1/users/cid/sessions", key=key).json["live_sessions"] == 0, 5, "expiry")
    answer = service.get(f"/play/{told['grant']}/orchard/master.m3u8")
    assert answer.status == 200, "not ended, only silent: it may start again"


def test_an_expired_grant_starts_nothing_and_lets_who_sits_go_on(guarded: tuple[Service, Provider], media: str) -> None:
    service, provider = guarded
    key = provider.token("dan")
    grant = _open(service, "dan", key=key)["grant"]
    deadline = time.monotonic() + 2.2
    while time.monotonic() < deadline:
        assert _play(service, grant, media) == 200
        time.sleep(0.3)
    again = _open(service, "dan", key=grant)["grant"]
    assert Grants([NEW], 60).verify(again).expires_at < time.time(), "a grant does not renew itself"
    wait_until(lambda: service.get("/v1/users/dan/sessions", key=key).json["live_sessions"] == 0, 5, "expiry")
    assert _play(service, grant, media) == 401
    assert _play(service, again, media) == 401


def test_the_device_of_a_grant_is_that_of_its_session_also_when_seated_again(service: Service, media: str) -> None:
    device = {"id": "box-7", "name": "Den", "type": "tv"}
    grant = _open(service, "eve", device=device)["grant"]
    _play(service, grant, media)
    assert service.watching("eve")["sessions"][0]["device"] == device
    signed = Grants([NEW], 60).sign("eve", "phone", device=Device("p-1", None, "mobile"))
    assert _play(service, signed, media) == 200
    seen = {s["session_id"]: s["device"] for s in service.watching("eve")["sessions"]}
    assert seen["phone"] == {"id": "p-1", "type": "mobile"}


def test_the_limit_of_a_token_goes_along_in_the_grant(guarded: tuple[Service, Provider], media: str) -> None:
    service, provider = guarded
    key = provider.token("fay", streamlimit_limit=1)
    first, second = (Grants([NEW], 60).sign("fay", name, limit=1) for name in ("one", "two"))
    assert Grants([NEW], 60).verify(_open(service, "fay", "one", key)["grant"]).limit == 1
    assert _play(service, first, media) == 200
    refused = service.get(f"/play/{second}/orchard/{media}")
    assert (refused.status, refused.json["limit"]) == (409, 1)


def test_keys_are_rotated_under_running_sessions(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"segment_seconds": 60}
    with started(tmp_path, grant_keys=[OLD], **settings) as service:
        grant = _open(service, "gil")["grant"]
        assert service.get(f"/play/{grant}/orchard/master.m3u8").status == 200
    with started(tmp_path, grant_keys=[NEW, OLD], **settings) as service:
        assert service.get(f"/play/{grant}/orchard/master.m3u8").status == 200
        assert Grants([NEW], 1).verify(_open(service, "gil")["grant"]).user_id == "gil"
    with started(tmp_path, grant_keys=[NEW], **settings) as service:
        assert service.get(f"/play/{grant}/orchard/master.m3u8").status == 401
