"""Reading of requests beside their paths: method, body (with checks of type and size), accepted media types."""

from streamlimit.http.reader import MAX_BODY
from streamlimit.http.request import Request
from streamlimit.web.problems import Problem


def require_method(request: Request, *allowed: str) -> None:
    """Raises 405 for another method than those *allowed*."""
    if request.method not in allowed:
        raise wrong_method(*allowed)


def wrong_method(*allowed: str) -> Problem:
    """For a method that is not one of those *allowed*."""
    words = " or ".join(method for method in allowed if method != "HEAD")
    return Problem("method-not-allowed", f"{words} it", headers={"Allow": ", ".join((*allowed, "OPTIONS"))})


def require_json(request: Request) -> None:
    """Raises 415 for a content type other than JSON; a body without one is taken for JSON."""
    require_kind(request.header(b"content-type"))


def require_kind(content_type: str | None) -> None:
    """As `require_json`, by a `Content-Type`."""
    if bare_kind(content_type) not in (None, "application/json"):
        raise not_json()


def bare_kind(kind: str | None) -> str | None:
    """A `Content-Type` without parameters, in lower case."""
    return None if kind is None else kind.partition(";")[0].strip().lower()


def not_json() -> Problem:
    """The problem for a content type other than JSON."""
    return Problem("unsupported-media-type", "send application/json")


def body_of(request: Request, at_most: int = MAX_BODY) -> bytes:
    """The whole body, whatever it is. Raises 413 for one that was too large to be kept."""
    body = request.body
    if body is None or len(body) > at_most:
        raise Problem("too-large", f"a body is at most {at_most // 1024} KiB")
    return body


def json_of(request: Request) -> bytes:
    """As `body_of`. Raises 415 for a content type other than JSON."""
    if request.fields.get(b"content-type") != b"application/json":
        require_json(request)
    return body_of(request)


def qualities(accept: str) -> dict[str, float]:
    """The kinds that an `Accept` names, and how much each is wanted, from 0 to 1."""
    wanted: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (text.strip().lower() for text in part.split(";"))
        values = dict(text.replace(" ", "").partition("=")[::2] for text in parameters)
        wanted[kind] = max(wanted.get(kind, 0.0), _quality(values.get("q", "1")))
    return wanted


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
