"""A part of the bench may fail: that is said in the report, and the rest is measured nevertheless."""

import traceback
from collections.abc import Callable

from _pytest.outcomes import OutcomeException  # how tests/servers.py says that a program is missing


def attempt(work: Callable[[], object]) -> str | None:
    """None when *work* was done, else in one line why not; more is printed."""
    try:
        work()
    except (Exception, OutcomeException) as error:
        traceback.print_exc()
        words = " ".join(str(error).split())
        return f"{type(error).__name__}: {words}"[:300]
    return None
