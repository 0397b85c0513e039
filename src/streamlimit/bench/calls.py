"""The HTTP calls of one group of viewers: timed and counted. A missing answer is an `Answer`, too."""

import json
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from streamlimit.bench.figures import Figures

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
MAX_DOCUMENT = 4_000_000
"""Most bytes of a JSON answer that are read."""


@dataclass
class Answer:
    """An answer. `status` 0: none came; `code` and `problem` say why. Times are monotonic seconds."""

    status: int
    code: str = ""
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    document: Any = None
    problem: str = ""
    asked_at: float = 0.0
    answered_at: float = 0.0
    """When the head had arrived."""
    received_at: float | None = None
    """When all bytes had arrived; None: they did not."""

    @property
    def is_degraded(self) -> bool:
        """Was the answer given from a worker's cache, in an outage of the store?"""
        return "streamlimit-degraded" in self.headers

    @property
    def is_let_through(self) -> bool:
        """Would the request have been refused, but for a dry run?"""
        return "streamlimit-would-refuse" in self.headers

    def retry_seconds(self) -> float:
        """The seconds of `Retry-After`; 0 without one."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdecimal() else 0.0


class Calls:
    """The calls of one group of viewers, over connections that are kept for *idle_seconds* between calls."""

    def __init__(
        self, url: str, key: str | None, figures: Figures, tls: ssl.SSLContext, idle_seconds: float = 5.0
    ) -> None:
        self.figures = figures
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Accept-Encoding": "identity", "User-Agent": "streamlimit-bench"} | _bearer(key),
            timeout=TIMEOUT,
            limits=httpx.Limits(keepalive_expiry=idle_seconds),
            verify=tls,
            trust_env=False,  # a proxy of the environment would be measured, too
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    async def ask(
        self,
        kind: str,
        method: str,
        path: str,
        form: Any = None,
        grant: str | None = None,
        hang_up: bool = False,
    ) -> Answer:
        """Makes one call.

        *grant*: in the place of the key; *hang_up*: closes the connection after a part of the body.
        """
        answer = Answer(0, asked_at=time.monotonic())
        try:
            async with self._client.stream(method, path, json=form, headers=_bearer(grant)) as response:
                answer.answered_at = time.monotonic()
                answer.status, answer.headers = response.status_code, response.headers
                await self._read(response, answer, hang_up and response.status_code == 200)
        except httpx.HTTPError as error:
            answer.status, answer.code = 0, f"no answer ({type(error).__name__})"
            answer.problem = str(error)
        self._note(kind, answer)
        return answer

    async def _read(self, response: httpx.Response, answer: Answer, hang_up: bool) -> None:
        is_json, kept = "json" in response.headers.get("content-type", ""), bytearray()
        async for part in response.aiter_raw():
            self.figures.bytes += len(part)
            if is_json and len(kept) < MAX_DOCUMENT:
                kept += part
            if hang_up:
                return
        answer.received_at = time.monotonic()
        if is_json:
            answer.document = _parsed(bytes(kept))
        if answer.status >= 400:
            answer.code = str(_of(answer.document, "code", ""))[:64]

    def _note(self, kind: str, answer: Answer) -> None:
        figures = self.figures
        figures.calls[kind] += 1
        figures.answers[f"{answer.status or ''} {answer.code}".strip()] += 1
        figures.degraded += answer.is_degraded
        figures.let_through += answer.is_let_through
        if answer.received_at is not None:
            figures.note_time(kind, answer.received_at - answer.asked_at)


def _bearer(credential: str | None) -> dict[str, str]:
    return {} if credential is None else {"Authorization": f"Bearer {credential}"}


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _of(document: Any, name: str, default: Any) -> Any:
    return document.get(name, default) if isinstance(document, dict) else default
