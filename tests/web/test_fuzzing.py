"""Hundreds of requests made up from /openapi.json: no 500, no seat taken. `make soak` asks fifty thousand."""

from pathlib import Path

import pytest

from tests.service import OPERATOR_KEY, started
from tests.web.fuzzing import Fuzz

pytestmark = pytest.mark.xdist_group("web-fuzzing")


def test_whatever_is_asked_nothing_breaks_and_nobody_sits(tmp_path: Path) -> None:
    with started(tmp_path, segment_seconds=60) as service:
        fuzz = Fuzz(service)
        fuzz.run(250)
        assert fuzz.bad == []
        assert fuzz.asked >= 150
        assert set(fuzz.statuses) >= {200, 204, 400, 401, 404}, "it does reach the calls"
        assert service.get("/v1/sessions", key=OPERATOR_KEY).json["sessions"] == []
        assert service.get("/readyz").status == 200
        assert "Traceback" not in service.log()
