"""The model of a failing network for some minutes, with other examples at every run."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import FailoverMachine, NetworkMachine

SETTINGS = settings(
    max_examples=5_000,
    stateful_step_count=60,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("machine", [NetworkMachine, FailoverMachine])
def test_the_rules_hold_for_long_whatever_happens_on_the_network(machine: type[NetworkMachine]) -> None:
    run_state_machine_as_test(machine, settings=SETTINGS)
