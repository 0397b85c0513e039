"""Repeated refusals: a client that hammers is answered without its request being parsed (http/repeats.py)."""

import time
from collections.abc import Callable
from functools import lru_cache

from streamlimit.limiter import Limiter
from streamlimit.model import Ask, Refusal
from streamlimit.refusal_limiter import CODE, HELD_SECONDS
from streamlimit.web.headers import lines
from streamlimit.web.problems import headers_of, problem_of_refusal
from streamlimit.web.request_id import HEADER, RequestId


class Hammering:
    """Answers *ask* again while it is refused from memory, for a second at most: then the credential is checked again.

    *clock*: monotonic seconds.
    """

    __slots__ = ("_ask", "_clock", "_fields", "_limiter", "_until")

    def __init__(
        self, limiter: Limiter, ask: Ask, fields: dict[bytes, bytes], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limiter, self._ask, self._fields, self._clock = limiter, ask, fields, clock
        self._until = clock() + HELD_SECONDS

    def __call__(self) -> tuple[int, bytes, bytes] | None:
        if self._clock() >= self._until:
            return None
        retry_after_ms = self._limiter.hold_again(self._ask)
        if not retry_after_ms:
            return None
        self._limiter.tally.problems[CODE] += 1
        status, headers, body = _answer(retry_after_ms)
        return status, headers % RequestId(self._fields)().encode(), body


@lru_cache(maxsize=1_024)  # a second has no more milliseconds
def _answer(retry_after_ms: int) -> tuple[int, bytes, bytes]:
    """The answer, as `problems.py` makes it, with a placeholder for the request's id."""
    problem = problem_of_refusal(Refusal(CODE, 0, 0, retry_after_ms=retry_after_ms))
    return problem.status, lines(headers_of(problem) | {HEADER: "%b"}), problem.body()
