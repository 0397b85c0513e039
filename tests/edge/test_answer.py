"""A refusal as one header that every edge can hold."""

import json
from typing import Any

from streamlimit.edge.answer import HEADER_BYTES, compact
from streamlimit.web.problems import Problem


def test_it_is_ascii_on_one_line_and_its_sessions_are_cut_to_fit() -> None:
    sessions: list[dict[str, Any]] = [
        {"session_id": f"séance-{n}\n", "device": "\N{TELEVISION}" * 20} for n in range(64)
    ]
    text = compact(Problem("session-limit", "64 of 64", {"limit": 64, "sessions": sessions}))
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= HEADER_BYTES
    told = json.loads(text)
    assert 3 < len(told["sessions"]) < 64
    assert told["sessions"] == sessions[: len(told["sessions"])]
    assert told["limit"] == 64


def test_what_is_too_long_without_them_is_left_out() -> None:
    text = compact(Problem("session-terminated", "x", {"by": "operator", "reason": "\N{TELEVISION}" * 1_000}))
    assert json.loads(text)["code"] == "session-terminated"
    assert len(text) <= HEADER_BYTES
