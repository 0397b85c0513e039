"""`GET /v1/events` behind Debian's nginx, as it is shipped: at once, and for as long as one likes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamlimit.web.events import HEARTBEAT_SECONDS
from tests.edge.programs import DEPLOY, nginx
from tests.service import Service, started, temporary_folder
from tests.web.listening import listening

RECIPES = ("nginx.conf", "nginx-accel.conf", "nginx-auth-request.conf")
NGINX_READ_SECONDS = 60
"""`proxy_read_timeout` where nothing is said."""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        more = {"ledger_streams": "any", "trusted_proxies": ["127.0.0.1"], "segment_seconds": 60}
        with started(folder, **more) as service:
            yield service


def beat(service: Service, user: str, session: str) -> None:
    assert service.post(f"/v1/users/{user}/sessions/{session}/heartbeat", {"stream_id": "film"}).status == 200


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_event_comes_before_the_next_one_happens(service: Service, recipe: str, tmp_path: Path) -> None:
    """Nothing waits in a buffer of nginx for more to come, and what is missed is asked for through it."""
    user = recipe.replace(".", "-")
    with nginx(recipe, tmp_path, tmp_path, service) as edge:
        with listening(edge.port, user_id=user) as stream:
            assert stream.joined().status == 200
            for session in ("one", "two", "three"):
                beat(service, user, session)
                assert stream.event().session["session_id"] == session
        assert service.call("DELETE", f"/v1/users/{user}/sessions/one").status == 204
        with listening(edge.port, resumed=stream.last_id, user_id=user) as again:
            assert again.event().type == "session.ended"
        with listening(edge.port, key="no-such-key") as refused:
            assert refused.status == 401


@pytest.mark.parametrize("recipe", RECIPES)
def test_nginx_waits_longer_than_the_stream_is_ever_silent(recipe: str) -> None:
    text = (DEPLOY / recipe).read_text()
    found = [int(seconds) for seconds in re.findall(r"^        proxy_read_timeout (\d+)s;", text, re.MULTILINE)]
    assert min([NGINX_READ_SECONDS, *found]) >= 3 * HEARTBEAT_SECONDS
