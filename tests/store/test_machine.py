"""The state machine on SQLite: the same examples at every run, a few seconds of them."""

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from streamlimit.store.sqlite import SqliteStore
from tests.store.machine import machine_of
from tests.store.plays_machine import plays_machine_of

SETTINGS = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # shrinking takes minutes: the soak test does it
    suppress_health_check=list(HealthCheck),
)


def test_whatever_happens_the_rules_hold(tmp_path: Path) -> None:
    def open_store(**how: Any) -> SqliteStore:
        return SqliteStore(str(tmp_path / "streamlimit.db"), **how)

    run_state_machine_as_test(machine_of(open_store), settings=SETTINGS)


def test_of_several_players_of_one_session_one_goes_on_whatever_they_do(tmp_path: Path) -> None:
    def open_store(**how: Any) -> SqliteStore:
        return SqliteStore(str(tmp_path / "streamlimit.db"), **how)

    run_state_machine_as_test(plays_machine_of(open_store), settings=SETTINGS)
