"""`/openapi.json` is valid and tells of every call; `/docs` shows it, and asks no other host."""

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from starlette.testclient import TestClient

from streamlimit.web.openapi import shown
from tests.e2e.browser import chromium, opened
from tests.service import Service, service_of_file

PARAMETER = re.compile(r"\{(\w+)\}")

service = service_of_file(streams=None)
"""Without streams: the page is there all the same."""


@pytest.fixture(scope="module")
def document(service: Service) -> dict[str, Any]:
    answer = service.get("/openapi.json")
    assert answer.status == 200
    found: dict[str, Any] = answer.json
    return found


def test_the_document_is_made_once_however_many_ask_and_beside_the_loop() -> None:
    app, threads = FastAPI(openapi_url=None), list[int]()

    def document() -> dict[str, Any]:
        threads.append(threading.get_ident())
        return {"openapi": "3.1.0"}

    app.openapi = document  # type: ignore[method-assign]

    @app.get("/thread", include_in_schema=False)
    async def thread() -> int:
        return threading.get_ident()

    with TestClient(shown(app)) as client:
        assert [client.get("/openapi.json").json() for _ in range(3)] == [{"openapi": "3.1.0"}] * 3
        assert len(threads) == 1
        assert threads[0] != client.get("/thread").json()


def test_a_document_that_could_not_be_made_is_made_at_the_next_question() -> None:
    app, made = FastAPI(openapi_url=None), list[dict[str, Any]]()

    def document() -> dict[str, Any]:
        made.append({"openapi": "3.1.0"})
        if len(made) == 1:
            raise OSError("too many open files")
        return made[-1]

    app.openapi = document  # type: ignore[method-assign]
    with TestClient(shown(app), raise_server_exceptions=False) as client:
        assert [client.get("/openapi.json").status_code for _ in range(3)] == [500, 200, 200]
    assert len(made) == 2


def _calls(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, call) for path, item in document["paths"].items() for method, call in item.items()]


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(child)


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = {node["$ref"] for node in _nodes(document) if isinstance(node, dict) and "$ref" in node}
    assert references
    for reference in references:
        found: Any = document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]


def test_every_call_has_a_name_of_its_own_words_and_a_way_to_say_no(document: dict[str, Any]) -> None:
    calls = _calls(document)
    assert len({call["operationId"] for _, _, call in calls}) == len(calls) >= 18
    for method, path, call in calls:
        assert call.get("summary"), f"{method} {path}"
        assert "application/problem+json" in call["responses"]["default"]["content"]
        assert "422" not in call["responses"], "never sent"
        named = {p["name"] for p in call.get("parameters", []) if p["in"] == "path"}
        assert named == set(PARAMETER.findall(path))


def test_the_hot_calls_are_told_of(document: dict[str, Any]) -> None:
    assert {"/v1/segments", "/play/{grant}/{stream_id}/{path}"} <= document["paths"].keys()


def test_the_page_shows_the_calls_and_asks_no_other_host(service: Service, document: dict[str, Any]) -> None:
    with chromium() as browser, opened(browser, service.url + "/docs") as page:
        page.wait_for(f"document.querySelectorAll('.opblock').length === {len(_calls(document))}", 20)
        asked = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
        assert {url.partition("/static/")[0] for url in asked if "/static/" in url} == {service.url}
        assert all(url.startswith(service.url) for url in asked)
        assert [text for text in page.messages if "Content Security Policy" in text or "uncaught" in text] == []


def test_the_page_has_the_headers_of_the_others(service: Service) -> None:
    headers = service.get("/docs").headers
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect", "/static/watch.js", "/watch"])
def test_other_pages_are_not_there_without_streams(service: Service, path: str) -> None:
    assert service.get(path).status == 404
