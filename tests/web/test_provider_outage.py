"""The identity provider is down, slow, or changes its keys while people watch."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Service, started, temporary_folder, wait_until
from tests.web.provider import Provider, new_key, running_provider, token


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def service(provider: Provider) -> Iterator[Service]:
    settings = provider.settings(jwks_seconds=1)
    with temporary_folder() as folder, started(folder, segment_seconds=60, **settings) as service:
        wait_until(lambda: provider.asked > 0, 5)
        yield service


def _open(service: Service, user: str, key: str) -> str:
    answer = service.post("/v1/sessions", {"user_id": user, "session_id": "tv", "stream_id": "orchard"}, key=key)
    assert answer.status in (200, 201), answer.body
    url: str = answer.json["playback_url"]
    return url


def _plays(service: Service, user: str, key: str, url: str) -> bool:
    form = {"user_id": user, "session_id": "tv", "stream_id": "orchard"}
    return service.post("/v1/segments", form, key=key).status == 200 and service.get(url).status == 200


def test_down_who_sits_plays_on_and_new_ones_come_in(service: Service, provider: Provider) -> None:
    ann = provider.token("ann")
    url = _open(service, "ann", ann)
    provider.is_away = True
    asked = provider.asked
    wait_until(lambda: provider.asked > asked, 5, "a failed fetch")
    assert _plays(service, "ann", ann, url)
    _open(service, "bob", provider.token("bob"))
    assert "jwks_unavailable" in service.log()


def test_gone_altogether(service: Service, provider: Provider) -> None:
    ann = provider.token("ann")
    url = _open(service, "ann", ann)
    provider.server.shutdown()
    provider.server.server_close()
    time.sleep(1.5)
    assert _plays(service, "ann", ann, url)
    _open(service, "bob", provider.token("bob"))


def test_slow_nobody_waits_for_it(service: Service, provider: Provider) -> None:
    ann = provider.token("ann")
    url = _open(service, "ann", ann)
    provider.delay = 3
    asked = provider.asked
    wait_until(lambda: provider.asked > asked, 5, "a slow fetch under way")
    began = time.monotonic()
    assert _plays(service, "ann", ann, url)
    _open(service, "bob", provider.token("bob"))
    assert time.monotonic() - began < 2


def test_rotated_mid_run(service: Service, provider: Provider) -> None:
    old, ann = provider.keys[0], provider.token("ann")
    url = _open(service, "ann", ann)
    provider.keys.append(new_key())
    wait_until(lambda: service.get("/v1/streams", key=provider.token("bob")).status == 200, 5, "the new key")
    assert _plays(service, "ann", ann, url), "the old key is still shown: its tokens count"
    _open(service, "cid", token(old, "cid"))
    provider.keys = provider.keys[1:]
    wait_until(lambda: service.get("/v1/streams", key=token(old, "cid")).status == 401, 5, "the old key's end")
    assert service.get(url).status == 200, "a grant of ours outlives the token it was given for"
    _open(service, "dan", provider.token("dan"))


def test_never_there_is_503_and_comes_back_by_itself(provider: Provider, tmp_path: Path) -> None:
    provider.is_away = True
    key = provider.token("ann")
    with started(tmp_path, **provider.settings(), service_keys=["service-key-of-the-tests"]) as service:
        answer = service.get("/v1/streams", key=key)
        assert (answer.status, answer.json["code"]) == (503, "identity-unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert service.get("/v1/streams", key="service-key-of-the-tests").status == 200
        provider.is_away = False
        wait_until(lambda: service.get("/v1/streams", key=key).status == 200, 15, "the keys")
