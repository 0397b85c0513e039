"""What every store promises (contract.py, machine.py), and one module per engine that runs it."""

import pytest

pytest.register_assert_rewrite("tests.store.household", "tests.store.contract", "tests.store.machine")
