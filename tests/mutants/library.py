"""Breakages of the store in memory and of what embeds streamlimit."""

from tests.mutants.mutant import Mutant

MEMORY, MEMORY_TESTS = "streamlimit/store/memory.py", ("tests/store/test_memory.py",)
EMBEDDED, FASTAPI, LIBRARY = "streamlimit/library.py", "streamlimit/fastapi.py", ("tests/test_library.py",)

MUTANTS = [
    Mutant("the sweep finds nobody in memory", MEMORY, "not now_ms < at_ms <= far_ms", "at_ms > far_ms", MEMORY_TESTS),
    Mutant(
        "threads change one ledger in memory at once",
        MEMORY,
        "with memory.lock:\n            ledger, now_ms = memory.load(user_id)",
        "if True:\n            ledger, now_ms = memory.load(user_id)",
        MEMORY_TESTS,
    ),
    Mutant(
        "what lapsed in memory stays due",
        MEMORY,
        "self.due.pop(user_id, None)\n            return",
        "return",
        MEMORY_TESTS,
    ),
    Mutant(
        "who left before the last byte has the segment",
        FASTAPI,
        "not is_last or not await self._has_left()",
        "True",
        LIBRARY,
    ),
    Mutant("an error that is sent confirms", FASTAPI, "is_there and not self._is_error", "is_there", LIBRARY),
    Mutant(
        "a body that was closed early confirms",
        EMBEDDED,
        "self._lease.settle(False)",
        "self._lease.settle(True)",
        LIBRARY,
    ),
    Mutant(
        "a forked child asks a thread that it has not", EMBEDDED, "or self._running.pid != os.getpid()", "", LIBRARY
    ),
    Mutant("memory forgets grants that a rule ended", MEMORY, "if outcome.ended_grants:", "if False:", MEMORY_TESTS),
]
