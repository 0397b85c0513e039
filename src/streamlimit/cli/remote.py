"""A running service, called over HTTP by commands. Errors are one line in words, without the key."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from streamlimit.errors import SettingsError, StreamlimitError

if TYPE_CHECKING:
    import httpx

PAGE = 500

Query = Mapping[str, str | None]


class Remote:
    """The service at *url*, called with *key*. Proxies of the environment are not used, for they would see the key."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/")
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise SettingsError("--url", "holds a name or password; give the key as --key or STREAMLIMIT_KEY")
        if key is not None and not (key.isascii() and key.isprintable() and key.strip()):
            raise SettingsError("--key", "has characters that no key has")
        headers = {"User-Agent": "streamlimit"} | ({} if key is None else {"Authorization": f"Bearer {key}"})
        import httpx  # only here: it would slow every command and every start

        self._client = httpx.Client(headers=headers, timeout=httpx.Timeout(60.0, connect=5.0), trust_env=False)
        self._failures = httpx.HTTPError, httpx.InvalidURL

    def get(self, path: str, query: Query | None = None, *names: str) -> dict[str, Any]:
        """The document of a `GET`, which has to have the members *names*."""
        return self._having(names, self.change("GET", path, query=query))

    def change(self, method: str, path: str, body: Any = None, query: Query | None = None) -> dict[str, Any]:
        """The answer to any method; an empty document where it has no body."""
        answer = self._answer(method, path, query, body)
        self._require(answer)
        return _read(answer)

    def sweep(self, max_seconds: float | None) -> dict[str, Any]:
        """Calls Endpoint 2, and returns its document."""
        body = {} if max_seconds is None else {"max_seconds": max_seconds}
        return self._having(("finished",), self.change("POST", "/v1/expirations", body))

    def has(self, path: str) -> bool:
        """Does *path* exist?"""
        answer = self._answer("GET", path, None, None)
        if answer.status_code == 404 and _read(answer).get("code", "").startswith("unknown-"):
            return False
        self._require(answer)
        return True

    def pages(self, path: str, name: str, query: Query | None = None) -> Iterator[dict[str, Any]]:
        """All items of the list *name*, over all pages."""
        cursor: str | None = ""
        while cursor is not None:
            asked = {**(query or {}), "limit": str(PAGE), "cursor": cursor or None}
            page = self.get(path, asked, name, "cursor")
            yield from page[name]
            cursor = page["cursor"]

    def events(self, query: Query, last_id: str | None) -> Iterator[tuple[str | None, str, Any]]:
        """Id, name and data of each event of the feed, until the connection ends."""
        asked = {**query, "last_event_id": last_id}
        try:
            with self._client.stream("GET", self.url + "/v1/events", params=_given(asked)) as answer:
                if answer.status_code != 200:
                    answer.read()
                self._require(answer, "text/event-stream")
                yield from _events_of(answer.iter_lines())
        except self._failures as error:
            raise self._wrong(error) from error
        except ValueError as error:
            raise self._strange("events that are no JSON") from error

    def _having(self, names: Sequence[str], document: dict[str, Any]) -> dict[str, Any]:
        if any(name not in document for name in names):
            raise self._strange(f"JSON without {', '.join(names)}")
        return document

    def _answer(self, method: str, path: str, query: Query | None, body: Any) -> "httpx.Response":
        try:
            return self._client.request(method, self.url + path, params=_given(query or {}), json=body)
        except self._failures as error:
            raise self._wrong(error) from error

    def _require(self, answer: "httpx.Response", kind: str = "application/json") -> None:
        """Checks an answer. Raises the service's problem, or that it is no streamlimit service."""
        status, found = answer.status_code, answer.headers.get("content-type", "")
        if status == 204 or (status == 200 and found.startswith(kind)):
            return
        if found.startswith("application/problem+json"):
            problem = _read(answer)
            raise StreamlimitError(f"{self.url}: {status} {problem.get('code')}: {problem.get('detail')}")
        raise self._strange(f"{status}, {found or 'no type'}")

    def _strange(self, what: str) -> StreamlimitError:
        return StreamlimitError(f"{self.url}: what came is no answer of streamlimit ({what})")

    def _wrong(self, error: Exception) -> StreamlimitError:
        import httpx

        if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
            return SettingsError("--url", f"is no address, as http://127.0.0.1:8080: {error}")
        words = "it did not answer in time" if isinstance(error, httpx.TimeoutException) else str(error)
        return StreamlimitError(f"{self.url}: no answer: {words or type(error).__name__}")


def part(text: str) -> str:
    """*text*, an id, as one part of a path."""
    return quote(text, safe="")


def _given(query: Query) -> dict[str, str]:
    return {name: value for name, value in query.items() if value is not None}


def _read(answer: "httpx.Response") -> dict[str, Any]:
    """The document of an answer; empty where it has none."""
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _events_of(lines: Iterator[str]) -> Iterator[tuple[str | None, str, Any]]:
    """Server-sent events in *lines*; one without data has only an id."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif not line:
            data = json.loads(fields["data"]) if "data" in fields else None
            yield fields.get("id"), fields.get("event", ""), data
            fields = {}
