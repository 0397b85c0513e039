"""nginx with deploy/nginx-auth-request.conf, as it is shipped: auth_request, its yes kept, receipts by syslog."""

from collections.abc import Iterator

import pytest

from tests.edge.nginx_contract import NginxContract
from tests.edge.programs import Edge, nginx
from tests.servers import Server, single
from tests.service import OPERATOR_KEY, started, temporary_folder, wait_until
from tests.streams import make_stream

KEPT_SECONDS = 1


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    with single("redis") as server:
        yield server


@pytest.fixture(scope="module")
def edge(redis: Server) -> Iterator[Edge]:
    """On a store that can be stopped."""
    with temporary_folder() as folder:
        make_stream(folder / "streams", "film", 60)
        settings = {"streams": None, "ledger_streams": "any", "trusted_proxies": ["127.0.0.1"], "store": redis.url}
        more = {"edge_log": f"unix:{folder}/edge.sock", "segment_seconds": 6, "edge_cache_seconds": KEPT_SECONDS}
        with (
            started(folder, **settings, **more) as service,
            nginx("nginx-auth-request.conf", folder, folder / "streams", service) as edge,
        ):
            yield edge


class TestAuthRequest(NginxContract):
    """By auth_request."""


def test_a_yes_is_kept_and_a_termination_bites_when_it_has_gone_stale(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    _sit(edge, grant, user)
    edge.service.call("DELETE", f"/v1/users/{user}/sessions/s", key=OPERATOR_KEY)
    wait_until(lambda: edge.get(f"/play/{grant}/film/2.ts").status == 410, KEPT_SECONDS + 5, "the termination")


def _sit(edge: Edge, grant: str, user: str) -> None:
    """It has received a segment, and nginx has a yes of it."""
    assert edge.get(f"/play/{grant}/film/0.ts").status == 200
    edge.await_state(user, "s", "active")
    assert edge.get(f"/play/{grant}/film/1.ts").status == 200
