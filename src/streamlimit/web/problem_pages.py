"""`GET /problems/<code>`: the meaning of an error, as HTML, JSON or plain text. `type` of every error is such a URL."""

from typing import Any

from fastapi import APIRouter, Request, Response

from streamlimit.web.calls import json_answer
from streamlimit.web.explained import EXPLAINED
from streamlimit.web.incoming import qualities
from streamlimit.web.pages import page
from streamlimit.web.problems import PROBLEMS, Problem

router = APIRouter(tags=["service"])

JSON_KINDS = ("application/problem+json", "application/json")
KINDS = ("text/html", *JSON_KINDS, "text/plain")


@router.get("/problems/{code}")
async def explain(code: str, request: Request) -> Response:
    """What an error code means, when it comes, and what to do: for people, and by `Accept` as JSON or plain text."""
    explanation = explained(code)
    kind = preferred(request.headers.get("accept", ""))
    if kind in JSON_KINDS:
        return json_answer(explanation, headers={"Vary": "Accept"})
    if kind == "text/plain":
        return Response(as_text(explanation), headers={"Vary": "Accept"}, media_type="text/plain")
    return page("problem.html", headers={"Vary": "Accept"}, **explanation)


def explained(code: str) -> dict[str, Any]:
    """The explanation of *code* as JSON. Raises 404 for an unknown code."""
    if code not in EXPLAINED:
        raise Problem("not-found", "there is no such error code")
    status, title = PROBLEMS[code]
    return {"code": code, "status": status, "title": title, **EXPLAINED[code]._asdict()}


def preferred(accept: str) -> str:
    """The media type that *accept* prefers; the first of equals, and where it names none."""
    wanted = qualities(accept)
    return max(
        KINDS, key=lambda kind: wanted.get(kind, wanted.get(f"{kind.partition('/')[0]}/*", wanted.get("*/*", 0)))
    )


def as_text(explanation: dict[str, Any]) -> str:
    """The explanation as plain text, for a terminal."""
    parts = [f"{explanation['title']} ({explanation['status']} {explanation['code']})", explanation["when"]]
    if explanation["viewer"]:
        parts.append(f"To the viewer: {explanation['viewer']}")
    parts.append(f"To the engineer: {explanation['engineer']}")
    return "\n\n".join(parts) + "\n"
