"""OpenTelemetry: off, nothing is there; on, a collector gets a span of each request, without grants."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlimit.bootstrap.traces import route_of, traced
from streamlimit.errors import SettingsError
from tests.answering import Quiet, serving
from tests.service import started

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector:
    """Receives OTLP over HTTP."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.port = 0

    def spans(self) -> list[Any]:
        """All of them; the batches may be gzipped."""
        from gzip import decompress

        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        plain = [decompress(body) if body[:2] == b"\x1f\x8b" else body for body in self.bodies]
        told = [ExportTraceServiceRequest.FromString(body) for body in plain]
        return [s for each in told for r in each.resource_spans for scope in r.scope_spans for s in scope.spans]


@pytest.fixture
def collector() -> Iterator[Collector]:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="make setup")
    made = Collector()

    class Handler(Quiet):
        def do_POST(self) -> None:
            made.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.reply(200)

    with serving(Handler) as made.port:
        yield made


def test_a_collector_gets_a_span_of_each_request_and_no_grant(collector: Collector, tmp_path: Path) -> None:
    with started(tmp_path, traces=f"http://127.0.0.1:{collector.port}") as service:
        opened = service.post("/v1/sessions", {"user_id": "ada", "stream_id": "aurora", "session_id": "tv"}).json
        assert service.get(opened["playback_url"], headers={"traceparent": PARENT}).status == 200
        assert service.get("/nowhere/" + opened["grant"]).status == 404
    spans = {span.name: span for span in collector.spans()}
    assert {"POST /v1/sessions", "GET /play/{grant}/{stream_id}/{path}", "GET other", "GET /readyz"} <= spans.keys()
    played = spans["GET /play/{grant}/{stream_id}/{path}"]
    assert (played.trace_id.hex(), played.parent_span_id.hex()) == (PARENT[3:35], PARENT[36:52])
    attributes = {each.key: each.value.int_value for each in spans["GET other"].attributes}
    assert attributes["http.response.status_code"] == 404
    assert not any(opened["grant"].encode() in body for body in collector.bodies)


def test_where_traces_are_off_requests_are_handled_by_the_same_function() -> None:
    def handle(request: Any, exchange: Any) -> None: ...

    assert traced(None, handle)[0] is handle
    code = "import sys, streamlimit.bootstrap.worker; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_without_the_extra_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError, match=r"traces: is an extra: pip install 'streamlimit\[traces\]'"):
        traced("http://127.0.0.1:1", lambda request, exchange: None)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/play/g/s/a/b.ts", "/play/{grant}/{stream_id}/{path}"),
        ("HEAD", "/healthz", "/healthz"),
        ("PUT", "/v1/users/ada/limit", "/v1/users/{user_id}/limit"),
        ("OPTIONS", "/edge/auth", "/edge/auth"),
        ("GET", "/v1/users/ada/limit/x", "other"),
        ("PUT", "/healthz", "other"),
    ],
)
def test_a_route_is_the_calls_own(method: str, path: str, route: str) -> None:
    assert route_of(method, path) == route
