"""Requests made up from /openapi.json: each answer is one that it tells of. `make soak` asks fifty thousand."""

from pathlib import Path

from streamlimit.web.contract.examples import PARAMETERS
from tests.service import OPERATOR_KEY, started
from tests.web.fuzzing import Fuzz

EXAMPLE_USER = PARAMETERS["user_id"]


def test_whatever_is_asked_nothing_breaks_and_only_who_asks_by_the_examples_sits(tmp_path: Path) -> None:
    with started(tmp_path, segment_seconds=60) as service:
        fuzz = Fuzz(service)
        fuzz.run(300)
        assert fuzz.bad == []
        assert fuzz.asked >= 150
        assert set(fuzz.statuses) >= {200, 204, 400, 401, 404}, "it does reach the calls"
        seated = service.get("/v1/sessions", key=OPERATOR_KEY).json["sessions"]
        assert {session["user_id"] for session in seated} <= {EXAMPLE_USER}
        assert service.get("/readyz").status == 200
        assert "Traceback" not in service.log()
