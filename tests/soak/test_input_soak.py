"""Fifty thousand requests made up from /openapi.json, and the bad ones of the list a hundred times over."""

from pathlib import Path

import pytest

from tests.service import OPERATOR_KEY, started
from tests.web.fuzzing import Fuzz, rss_kib
from tests.web.test_bad_input import CASES, SETTINGS, ask
from tests.web.test_fuzzing import EXAMPLE_USER


@pytest.mark.soak
def test_fifty_thousand_requests_leave_no_trace(tmp_path: Path) -> None:
    with started(tmp_path, **SETTINGS) as service:
        fuzz = Fuzz(service)
        fuzz.run(6_000)  # caches fill up, modules are imported
        before = rss_kib(service)
        fuzz.run(75_000)
        assert fuzz.bad == []
        assert fuzz.asked >= 50_000
        seated = service.get("/v1/sessions", key=OPERATOR_KEY).json["sessions"]
        assert {session["user_id"] for session in seated} <= {EXAMPLE_USER}
        after = rss_kib(service)
        print(f"{fuzz.asked} requests, {fuzz.statuses}; RSS {before} -> {after} KiB")
        assert after <= before * 1.1


@pytest.mark.soak
def test_the_list_of_bad_requests_a_hundred_times(tmp_path: Path) -> None:
    with started(tmp_path, **SETTINGS) as service:
        for _ in range(10):
            for case in CASES:
                ask(service, case.request)
        before = rss_kib(service)
        for _ in range(90):
            for case in CASES:
                ask(service, case.request)
        after = rss_kib(service)
        print(f"{100 * len(CASES)} requests; RSS {before} -> {after} KiB")
        assert after <= before * 1.1
