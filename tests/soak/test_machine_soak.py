"""The state machine on SQLite for some minutes, with other examples at every run."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from streamlimit.store.sqlite import SqliteStore
from tests.store.machine import machine_of

SETTINGS = settings(
    max_examples=3_000,
    stateful_step_count=80,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.soak
def test_whatever_happens_for_long_the_rules_hold(tmp_path: Path) -> None:
    def open_store(**how: Any) -> SqliteStore:
        return SqliteStore(str(tmp_path / "streamlimit.db"), **how)

    run_state_machine_as_test(machine_of(open_store), settings=SETTINGS)
