"""One question to a running service over HTTP, by a command that was given its address."""

from typing import Any

import httpx

from streamlimit.errors import SettingsError, StreamlimitError

TIMEOUT = httpx.Timeout(60.0, connect=5.0)


def ask(url: str, key: str | None, path: str, query: dict[str, str]) -> Any:
    """What `GET` *path* answers, as JSON. Raises `StreamlimitError` with words, and never with the key."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    try:
        answer = httpx.get(url.rstrip("/") + path, params=query, headers=headers, timeout=TIMEOUT, trust_env=False)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise SettingsError("--url", f"is no address, as http://127.0.0.1:8080: {error}") from error
    except httpx.HTTPError as error:
        raise StreamlimitError(f"{url}: no answer: {str(error) or type(error).__name__}") from error
    try:
        document = answer.json()
    except ValueError:
        document = {}
    if answer.status_code != 200 or not isinstance(document, dict):
        detail = document.get("detail") if isinstance(document, dict) else None
        raise StreamlimitError(f"{url}: {answer.status_code}: {detail or answer.reason_phrase}")
    return document
