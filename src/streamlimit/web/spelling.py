"""Ids and names in URLs: percent-encoded UTF-8, decoded strictly, so that each id has one spelling."""

from urllib.parse import quote, unquote_to_bytes

from streamlimit.web.forms import require_id
from streamlimit.web.problems import Problem, wrong_field

USERS = "/v1/users/"
_PARTS = {3: "user_id", 5: "session_id"}


def encoded(text: str, safe: str = "") -> str:
    """*text* as one part of a path (or with `/` in *safe*, several)."""
    return quote(text, safe=safe + "~:@!$&'()*+,;=")


def id_in_path(name: str, part: str) -> str:
    """The id in *part* of a path. Raises `malformed`, also for bytes that are no UTF-8."""
    try:
        return require_id(name, unquote_to_bytes(part).decode() if "%" in part else part)
    except UnicodeDecodeError as error:
        raise wrong_field(name, "is not UTF-8, percent-encoded") from error


def require_text(query: bytes) -> None:
    """Raises `malformed` where a query is no UTF-8, which would be decoded to another text."""
    try:
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError as error:
        raise Problem("malformed", "the query is not UTF-8, percent-encoded") from error


def require_ids_in_path(path: str) -> None:
    """Raises `malformed` for invalid ids in a raw path `/v1/users/<user_id>/sessions/<session_id>`."""
    parts = path.split("/")
    for index, name in _PARTS.items():
        if len(parts) > index and parts[index]:
            id_in_path(name, parts[index])
