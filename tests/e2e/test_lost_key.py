"""The key of grants, which lies in the store, while the store loses it: playback URLs go on at every worker."""

from pathlib import Path
from typing import Any

from streamlimit.web.grants import Grants
from tests import servers
from tests.service import Service, started, wait_until


def opened(service: Service, user: str) -> dict[str, Any]:
    seat = {"user_id": user, "session_id": "s", "stream_id": "aurora"}
    found: dict[str, Any] = service.post("/v1/sessions", seat).json
    return found


def test_a_store_that_lost_the_key_is_given_it_again_and_one_that_has_another_is_followed(tmp_path: Path) -> None:
    with servers.single("valkey") as server, started(tmp_path, store=server.url) as service:
        url, (name,) = opened(service, "ada")["playback_url"], server.client.keys("*secret*grant-key")
        key = server.client.get(name)
        server.client.flushall()
        wait_until(lambda: server.client.get(name) == key, 20, "the key in the store")
        other = tmp_path / "other"
        other.mkdir()
        with started(other, store=server.url) as second:
            assert second.get(url).status == 200
        made = "the-key-of-a-worker-that-found-none"
        server.client.set(name, made)
        newest = Grants([made], 60)
        head = newest.sign("u", "s").split(".")[0]
        wait_until(lambda: opened(service, "bob")["grant"].split(".")[0] == head, 20, "the new key")
        assert newest.verify(opened(service, "bob")["grant"]).user_id == "bob"
        assert service.get(url).status == 200
        assert service.get(f"/play/{newest.sign('eve', 's')}/aurora/master.m3u8").status == 200
