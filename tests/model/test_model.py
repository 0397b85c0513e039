"""Whatever the network does, the rules hold: the same examples at every run."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import FailoverMachine, NetworkMachine

SETTINGS = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # shrinking takes minutes: the soak test does it
    suppress_health_check=list(HealthCheck),
)


def test_the_rules_hold_whatever_the_network_does() -> None:
    run_state_machine_as_test(NetworkMachine, settings=SETTINGS)


def test_the_rules_hold_whatever_a_failover_forgets() -> None:
    run_state_machine_as_test(FailoverMachine, settings=SETTINGS)
