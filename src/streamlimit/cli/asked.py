"""One question to a running service over HTTP, by a command that was given its address."""

from typing import Any

from streamlimit.cli.remote import Remote


def ask(url: str, key: str | None, path: str, query: dict[str, str]) -> Any:
    """What `GET` *path* answers, as JSON. Raises `StreamlimitError` with words, and never with the key."""
    return Remote(url, key).get(path, query, "rows")
