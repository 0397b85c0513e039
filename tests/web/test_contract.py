"""What `/openapi.json` says of each call is complete, and what a running service answers is what it says."""

import asyncio
import compileall
import importlib
from collections.abc import Iterator, Set
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator, FormatChecker
from typer.testing import CliRunner

from streamlimit.edge.protocols import Edge
from streamlimit.web.contract import OPERATIONS
from streamlimit.web.contract.examples import PROBLEM_EXTRAS
from streamlimit.web.contract.problem_shapes import EXTRAS
from streamlimit.web.control_plane import ROUTERS
from streamlimit.web.explained import EXPLAINED
from streamlimit.web.openapi import with_hot_calls
from streamlimit.web.problems import PROBLEMS
from tests.service import OPERATOR_KEY, Answer, Service, service_of_file
from tests.web.worker import worker

HOW = (
    "Describe it: add an Operation (answers with schema and example, error codes) to a file of "
    "src/streamlimit/web/contract/, then run python tools/make_reference.py"
)
HOT = {
    "POST /v1/segments",
    "GET /play/{grant}/{stream_id}/{path}",
    "POST /v1/users/{user_id}/sessions/{session_id}/heartbeat",
}
ISSUING = {200, 204, 400, 401, 403, 404, 405, 409, 410, 413, 415, 429, 502, 503, 504}
API_STATUSES = {  # written out, so that a change of the contract fails here
    "POST /v1/segments": ISSUING,
    "POST /v1/sessions": ISSUING - {204, 405} | {201},
    "GET /play/{grant}/{stream_id}/{path}": {200, 206, 304, 400, 401, 403, 404, 409, 410, 416, 429, 502, 503, 504},
    "POST /v1/users/{user_id}/sessions/{session_id}/heartbeat": ISSUING - {204, 502, 504},
    "POST /v1/expirations": {200, 400, 401, 403, 413, 415, 503},
    "DELETE /v1/users/{user_id}/sessions/{session_id}": {204, 400, 401, 403, 503},
    "POST /v1/users/{user_id}/sessions/{session_id}/end": {204, 400, 401, 403, 503},
    "PUT /v1/users/{user_id}/limit": {200, 400, 401, 403, 413, 415, 503},
    "GET /edge/auth": {200, 401, 403},
    "GET /edge/envoy/{path}": {200, 401, 403, 409, 410, 429},
    "POST /edge/cmcd/{grant}": {204, 410},
    "POST /edge/reports": {200, 400, 401, 403, 413, 415},
    "GET /readyz": {200, 503},
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = FastAPI(title="streamlimit", version="1")
    for router in ROUTERS:
        app.include_router(router)
    return with_hot_calls(app).openapi()


def _calls(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": call for path, item in document["paths"].items() for method, call in item.items()
    }


def _contents(call: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Status, media type and content of each answer with a body."""
    for status, answer in call["responses"].items():
        for kind, content in answer.get("content", {}).items():
            yield status, kind, content


def _validate(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    whole = {**schema, "components": document["components"]}
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(value)


def test_every_call_that_is_served_is_described() -> None:
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    served = {f"{method} {r.path}" for r in routes if r.include_in_schema for method in r.methods} | HOT
    assert served - OPERATIONS.keys() == set(), HOW
    described = {name for name in OPERATIONS if "/edge/" not in name}
    assert described - served == set(), "described, and not served"


def test_every_edge_is_described(tmp_path: Path) -> None:
    async def served() -> Set[str]:
        async with worker(f"sqlite:///{tmp_path}/seats.db") as its:
            return Edge(its.service).names

    assert asyncio.run(served()) == {name.split("/")[2] for name in OPERATIONS if "/edge/" in name}, HOW


def test_every_call_has_a_readable_name_and_words_of_its_own(document: dict[str, Any]) -> None:
    calls = _calls(document)
    names = [call["operationId"] for call in calls.values()]
    assert len(set(names)) == len(names)
    for name, call in calls.items():
        assert 3 <= len(call["operationId"]) <= 28, f"{name}: {call['operationId']}. {HOW}"
        assert "_v1_" not in call["operationId"], f"{name}: made by the framework. {HOW}"
        assert 10 <= len(call["summary"]) <= 150, f"{name}: {call['summary']}"
        assert call["tags"]


def test_every_answer_has_a_schema_that_says_something(document: dict[str, Any]) -> None:
    for name, call in _calls(document).items():
        for status, kind, content in _contents(call):
            assert content["schema"].keys() & {"$ref", "type", "anyOf"}, f"{name} {status} {kind}. {HOW}"


def test_every_call_has_an_example(document: dict[str, Any]) -> None:
    for name, call in _calls(document).items():
        assert "example" in str(call), f"{name}. {HOW}"
        for kind, content in call.get("requestBody", {}).get("content", {}).items():
            assert "example" in content, f"{name}: an example of what is sent as {kind}. {HOW}"
        for status, kind, content in _contents(call):
            is_bytes = content["schema"].get("format") == "binary"
            assert is_bytes or content.keys() & {"example", "examples"}, f"{name} {status} {kind}. {HOW}"


def test_examples_are_what_the_schemas_say(document: dict[str, Any]) -> None:
    for call in _calls(document).values():
        bodies = call.get("requestBody", {}).get("content", {}).values()
        for content in [*bodies, *(content for _, _, content in _contents(call))]:
            if "example" in content:
                _validate(content["example"], content["schema"], document)
            for code in content.get("examples", {}):
                _validate(document["components"]["examples"][code]["value"], content["schema"], document)


@pytest.mark.parametrize("name", sorted(API_STATUSES))
def test_a_call_names_the_statuses_that_it_is_promised_to_have(document: dict[str, Any], name: str) -> None:
    told = {int(status) for status in _calls(document)[name]["responses"] if status != "default"}
    assert API_STATUSES[name] - told == set()


def test_every_code_has_a_schema_of_its_own(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    found = {
        schema["properties"]["code"]["const"]: schema
        for name, schema in schemas.items()
        if name.endswith("Problem") and name != "Problem"
    }
    assert found.keys() == PROBLEMS.keys()
    assert {code: each["properties"]["status"]["const"] for code, each in found.items()} == {
        code: status for code, (status, _) in PROBLEMS.items()
    }
    assert {"limit", "live_sessions", "sessions", "retry_after_seconds"} <= set(found["session-limit"]["required"])
    assert {"by", "reason", "at"} <= set(found["session-terminated"]["required"])
    assert EXTRAS.keys() == PROBLEM_EXTRAS.keys()


def test_every_code_is_explained() -> None:
    assert EXPLAINED.keys() == PROBLEMS.keys(), "in src/streamlimit/web/explained.py and problems.py"
    for code, explained in EXPLAINED.items():
        texts = [explained.when, explained.engineer, *([explained.viewer] if explained.viewer else [])]
        assert all(len(text) > 12 and text[-1] in ".`" for text in texts), code


# Against a running service


service = service_of_file(trusted_proxies=["127.0.0.9/32"])


class Checked:
    """Calls the service; each answer must be one that the document tells of."""

    def __init__(self, service: Service, document: dict[str, Any]) -> None:
        self._service, self._document, self._calls = service, document, _calls(document)
        self.seen: set[str] = set()

    def __call__(self, name: str, status: int, body: Any = None, key: str | None = None, **places: str) -> Answer:
        method, _, path = name.partition(" ")
        headers = {"Content-Type": "application/json"} if body is not None else {}
        answer = self._service.call(method, path.format(**places), body, headers, key)
        assert answer.status == status, answer.body
        self.seen.add(name)
        contents = self._calls[name]["responses"][str(status)].get("content", {})
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if not contents:
            assert answer.body == b""
            return answer
        content = contents.get(kind) or contents["*/*"]
        if kind.endswith("json"):
            _validate(answer.json, content["schema"], self._document)
        return answer


@pytest.fixture(scope="module")
def checked(service: Service, document: dict[str, Any]) -> Checked:
    return Checked(service, document)


def test_a_viewers_calls_answer_as_described(checked: Checked) -> None:
    ada = {"user_id": "ada", "session_id": "tv"}
    stream = {"stream_id": "aurora"}
    device = {"device": {"id": "d", "name": "TV"}}
    opened = checked("POST /v1/sessions", 201, ada | stream | device).json
    assert checked("POST /v1/sessions", 200, ada | stream).json["session"]["session_id"] == "tv"
    checked("POST /v1/segments", 200, ada | stream)
    path = opened["playback_url"].rpartition("/")[2]
    checked("GET /play/{grant}/{stream_id}/{path}", 200, grant=opened["grant"], path=path, **stream)
    beat = "POST /v1/users/{user_id}/sessions/{session_id}/heartbeat"
    assert checked(beat, 200, stream, **ada).json["heartbeat_seconds"] > 0
    checked(beat, 404, {"stream_id": "nowhere"}, **ada)
    checked(beat, 400, {"stream_id": 7}, **ada)
    checked("GET /v1/streams", 200)
    checked("GET /v1/users/{user_id}/sessions", 200, user_id="ada")
    checked("GET /v1/users/{user_id}/sessions/{session_id}", 200, **ada)
    checked("GET /v1/users/{user_id}/sessions/{session_id}", 404, user_id="ada", session_id="none")
    checked("POST /v1/users/{user_id}/sessions/{session_id}/end", 204, {"grant": opened["grant"]}, **ada)
    checked("DELETE /v1/users/{user_id}/sessions/{session_id}", 204, **ada)
    checked("DELETE /v1/users/{user_id}/sessions", 204, user_id="ada")


def test_refusals_are_as_described(checked: Checked) -> None:
    for number in range(3):
        checked("POST /v1/segments", 200, {"user_id": "bo", "session_id": f"s{number}", "stream_id": "clock"})
    refused = {"user_id": "bo", "session_id": "s3", "stream_id": "clock"}
    assert len(checked("POST /v1/segments", 409, refused).json["sessions"]) == 3
    checked("POST /v1/segments", 404, refused | {"stream_id": "nowhere"})
    checked("POST /v1/segments", 400, refused | {"more": 1})
    gone = {"user_id": "bo", "session_id": "s0"}
    checked("DELETE /v1/users/{user_id}/sessions/{session_id}", 204, key=OPERATOR_KEY, **gone)
    assert checked("POST /v1/segments", 410, gone | {"stream_id": "clock"}).json["by"] == "operator"
    checked("GET /play/{grant}/{stream_id}/{path}", 401, grant="no-grant", stream_id="clock", path="master.m3u8")


def test_an_operators_calls_answer_as_described(checked: Checked) -> None:
    limit = "PUT /v1/users/{user_id}/limit"
    checked(limit, 200, {"max_sessions": 4, "until": "2099-01-01T00:00:00Z"}, OPERATOR_KEY, user_id="cy")
    checked(limit, 400, {"max_sessions": 400}, OPERATOR_KEY, user_id="cy")
    checked(limit, 401, {"max_sessions": 4}, user_id="cy")
    gets = ("GET /v1/limits", "GET /v1/sessions", "GET /v1/stats", "GET /v1/reports", "GET /metrics")
    for name in (*gets, "GET /v1/stats/series", "GET /v1/me", "POST /v1/expirations"):
        checked(name, 200, key=OPERATOR_KEY)
    checked("GET /v1/users/{user_id}/limit", 200, key=OPERATOR_KEY, user_id="cy")
    for name in (
        "DELETE /v1/users/{user_id}/limit",
        "DELETE /v1/users/{user_id}",
        "DELETE /v1/users/{user_id}/terminations",
    ):
        checked(name, 204, key=OPERATOR_KEY, user_id="cy")
    checked("DELETE /v1/users/{user_id}/terminations/{session_id}", 204, key=OPERATOR_KEY, user_id="cy", session_id="s")


def test_the_services_own_calls_answer_as_described(checked: Checked) -> None:
    for name in ("GET /healthz", "GET /readyz", "GET /client.js"):
        checked(name, 200)
    checked("GET /problems/{code}", 404, code="no-such-code")
    checked("POST /edge/reports", 200, [{"path": "/play/x/y/z.ts", "complete": True}], OPERATOR_KEY)
    checked("POST /edge/reports", 401, [])
    checked("GET /edge/auth", 403)
    checked("GET /edge/adobe/v2/metadata", 401)


def test_a_client_that_is_made_of_it_compiles_and_runs(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    makers = pytest.importorskip("openapi_python_client.cli", reason="make setup")
    (tmp_path / "openapi.json").write_bytes(service.get("/openapi.json").body)
    command = ["generate", "--path", str(tmp_path / "openapi.json"), "--meta", "none"]
    made = CliRunner().invoke(makers.app, [*command, "--output-path", str(tmp_path / "made_client")])
    assert made.exit_code == 0, made.output
    assert made.output.count("Endpoint will not be generated") == 1, "but of CMCD's, which is no JSON"
    assert compileall.compile_dir(tmp_path / "made_client", quiet=1)
    monkeypatch.syspath_prepend(tmp_path)
    models, viewer = (importlib.import_module(f"made_client.{name}") for name in ("models", "api.viewer"))
    client = importlib.import_module("made_client").Client(base_url=service.url)

    def call(name: str, **arguments: Any) -> Any:
        return importlib.import_module(f"{viewer.__name__}.{name}").sync(client=client, **arguments)

    form = {"user_id": "dee", "stream_id": "clock"}
    opened = call("open_session", body=models.OpenSessionSessionForm.from_dict(form | {"session_id": "s0"}))
    assert (opened.session.session_id, opened.session.state.value) == ("s0", "starting")
    for number in range(4):
        asked = models.IssueSegmentSegmentForm.from_dict(form | {"session_id": f"s{number}"})
        told = call("issue_segment", body=asked)
    assert isinstance(told, models.SessionLimitProblem)
    assert [session.session_id for session in told.sessions] == ["s0", "s1", "s2"]
    assert call("list_user_sessions", user_id="dee").live_sessions == 3
    assert call("get_session", user_id="dee", session_id="none").code == "unknown-session"


# What `type` leads to


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_the_type_of_every_error_resolves(service: Service, code: str) -> None:
    status, title = PROBLEMS[code]
    page = service.get(f"/problems/{code}", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert all(text in unescape(page.body.decode()) for text in (f"<h1>{title}</h1>", code, str(status)))


def test_an_explanation_comes_in_the_form_that_is_asked_for(checked: Checked, service: Service) -> None:
    document = service.get("/problems/session-limit", headers={"Accept": "application/problem+json"})
    assert document.headers["content-type"] == "application/json"
    assert document.json.keys() == {"code", "status", "title", "when", "viewer", "engineer"}
    text = service.get("/problems/session-limit", headers={"Accept": "text/plain;q=0.9, text/html;q=0.3"})
    assert text.body.decode().startswith("All seats are taken (409 session-limit)\n")
    for accept in ("*/*", "text/*", "image/png", "text/html;q=1, text/plain;q=oops", "", "text/html, application/json"):
        page = service.get("/problems/session-limit", headers={"Accept": accept})
        assert page.headers["content-type"].startswith("text/html"), accept


@pytest.mark.parametrize("code", ["nothing", "session-limit%00", "..%2f", "session-limit/more", "Session-Limit"])
def test_what_is_no_code_is_not_found(service: Service, code: str) -> None:
    answer = service.get(f"/problems/{code}")
    assert (answer.status, answer.json["code"]) == (404, "not-found")
