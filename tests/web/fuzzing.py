"""Requests made up from /openapi.json, as it says and as it does not, against a running service."""

import warnings
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import checks
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode

from tests.service import OPERATOR_KEY, Service

CONFORMANCE = [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]
ENDLESS = "/v1/events"
"""Its good answers have no end; what it says to bad questions is in test_events.py."""

MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


def rss_kib(service: Service) -> int:
    """Resident memory of the service's process."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


class Fuzz:
    """Asks, and keeps the score: how often, and how many of each status."""

    def __init__(self, service: Service) -> None:
        self._service, self._line = service, requests.Session()
        self.asked = 0
        self.statuses: dict[int, int] = {}
        self.bad: list[tuple[str, int, Any]] = []
        every = [found.ok() for found in self._schema().get_all_operations()]
        self.operations = [each for each in every if each.path != ENDLESS]

    def _schema(self) -> Any:
        return schemathesis.openapi.from_url(self._service.url + "/openapi.json")

    def run(self, examples: int, key: str | None = OPERATOR_KEY) -> None:
        """About so many requests, the same number for each call and mode."""
        share = max(examples // (len(self.operations) * len(MODES)), 1)
        for operation in self.operations:
            for mode in MODES if _may_be_wrong(operation) else MODES[:1]:
                self._run_one(operation, mode, share, key)

    def _run_one(self, operation: Any, mode: GenerationMode, examples: int, key: str | None) -> None:
        try:
            cases = operation.as_strategy(generation_mode=mode)
        except Exception:  # a call without anything that could be wrong has no wrong requests
            cases = operation.as_strategy()

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            derandomize=examples < 1_000,  # the normal suite asks the same each time, the soak run does not
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, with_key=st.booleans())
        def ask(case: Any, with_key: bool) -> None:
            headers = {"Authorization": f"Bearer {key}"} if with_key and key else {}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answer = case.call(base_url=self._service.url, session=self._line, headers=headers)
            self.asked += 1
            self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
            if answer.status_code >= 500:
                self.bad.append((operation.label, answer.status_code, case.as_curl_command()))
            try:
                case.validate_response(answer, checks=CONFORMANCE)
            except FailureGroup as failed:
                self.bad.append((operation.label, answer.status_code, str(failed)))

        try:
            ask()
        except Exception as error:
            if "Unsatisfiable" not in type(error).__name__ and "SkipTest" not in type(error).__name__:
                raise


def _may_be_wrong(operation: Any) -> bool:
    """Of what may be any text, wrong ones are sought for seconds, in vain."""
    call = operation.definition.raw
    return "requestBody" in call or any("pattern" in each["schema"] for each in call.get("parameters", []))
