"""What every store promises (contract.py, machine.py), and one module per engine that runs it."""

import pytest

pytest.register_assert_rewrite("tests.store.store_driver", "tests.store.contract", "tests.store.machine")
