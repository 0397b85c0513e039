"""Breakages of the library: its store in memory, and what confirms a lease."""

from tests.mutants.mutant import Mutant

MUTANTS = [
    Mutant(
        "who left before the last byte has the segment",
        "streamlimit/fastapi.py",
        "not is_last or not await self._has_left()",
        "True",
        ("tests/test_library.py",),
    ),
    Mutant(
        "an error that is sent confirms",
        "streamlimit/fastapi.py",
        "is_there and not self._is_error",
        "is_there",
        ("tests/test_library.py",),
    ),
    Mutant(
        "a body that was closed early confirms",
        "streamlimit/library.py",
        "self._lease.settle(False)",
        "self._lease.settle(True)",
        ("tests/test_library.py",),
    ),
    Mutant(
        "threads change one ledger in memory at once",
        "streamlimit/store/memory.py",
        "with memory.lock:\n            ledger, now_ms = memory.load(user_id)",
        "if True:\n            ledger, now_ms = memory.load(user_id)",
        ("tests/store/test_memory.py",),
    ),
    Mutant(
        "an exception after a receipt gives the lease back",
        "streamlimit/limiter.py",
        "        if not self._confirmed:\n",
        "        if True:\n",
        ("tests/test_lease.py",),
    ),
    Mutant(
        "a lease that moved its session confirms nothing more",
        "streamlimit/limiter.py",
        "            if (session.move, session.generation) != (lease.move, lease.generation):",
        "            if False:",
        ("tests/test_lease.py",),
    ),
]
