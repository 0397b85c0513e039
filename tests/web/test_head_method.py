"""HEAD is there wherever GET is (RFC 9110, 9.3.2), as load balancers probe: the same answer, without its body."""

import pytest

from tests.e2e.clients import connected
from tests.service import OPERATOR_KEY, Service, service_of_file

FINE = ["/healthz", "/readyz", "/v1/streams", "/v1/users/ann/sessions", "/openapi.json", "/docs", "/favicon.ico"]
REFUSED = {"/v1/users/ann/sessions/none": 404, "/v1/sessions": 401, "/v1/users/a%0Ab/sessions": 400, "/nowhere": 404}
OWN = ("date", "x-request-id")
"""Headers of one answer alone."""

service = service_of_file()


def _request(method: str, path: str, key: str = "") -> bytes:
    credential = f"Authorization: Bearer {key}\r\n" if key else ""
    return f"{method} {path} HTTP/1.1\r\nHost: t\r\n{credential}\r\n".encode()


@pytest.mark.parametrize(("path", "status"), [*((path, 200) for path in FINE), *REFUSED.items()])
def test_head_is_answered_as_get_without_a_body(service: Service, path: str, status: int) -> None:
    with connected(service.port) as client:
        head = client.send(_request("HEAD", path)).head()
        got, body = client.send(_request("GET", path)).whole()  # a body of before would stand in its way
        assert (head.status, got.status, len(body)) == (status, status, got.length)
        assert got.length > 0
        kept = [{n: v for n, v in each.headers.items() if n not in OWN} for each in (head, got)]
        assert kept[0] == kept[1]


@pytest.mark.parametrize("path", ["/metrics", "/v1/stats", "/v1/sessions"])
def test_head_wants_the_same_credential(service: Service, path: str) -> None:
    with connected(service.port) as client:
        head = client.send(_request("HEAD", path, OPERATOR_KEY)).head()
        assert (head.status, client.send(_request("GET", path, OPERATOR_KEY)).answer().status) == (200, 200)


def test_head_where_there_is_no_get_is_refused_as_any_other_method(service: Service) -> None:
    with connected(service.port) as client:
        head = client.send(_request("HEAD", "/v1/expirations")).head()
        assert (head.status, head.headers["allow"]) == (405, "options, post")


def test_the_document_tells_of_each_call_once(service: Service) -> None:
    assert not [path for path, calls in service.get("/openapi.json").json["paths"].items() if "head" in calls]
