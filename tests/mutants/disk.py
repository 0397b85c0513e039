"""Breakages of what happens when a file, a disk or a process fails."""

from tests.mutants.mutant import Mutant

SQLITE = "streamlimit/store/sqlite"
FAULTS = "tests/e2e/test_file_faults.py"
TROUBLE = ("tests/store/test_sqlite_waiting.py",)
BACKUP = ("tests/store/test_backup.py",)
CHECKPOINTS = ("tests/store/test_checkpoint.py",)


def from_outside(which: str) -> tuple[str, ...]:
    return FAULTS, "-k", which


MUTANTS = [
    Mutant(
        "a worker without its store does not start",
        "streamlimit/bootstrap/store.py",
        "StoreUnavailable if serves else StoreLocked",
        "StoreLocked",
        ("tests/test_lazy_store.py", "-k", "starts_without_it"),
    ),
    Mutant(
        "a worker that cannot start ends the service",
        "streamlimit/server.py",
        "process.exitcode == STARTUP_FAILURE and not self.have_started",
        "process.exitcode == STARTUP_FAILURE",
        ("tests/test_workers.py",),
    ),
    Mutant(
        "a full disk is a wrong setting",
        "streamlimit/bootstrap/store.py",
        "except StoreHindered:",
        "except ZeroDivisionError:",
        from_outside("start_on_a_full_disk"),
    ),
    Mutant(
        "who sits elsewhere is refused in an outage",
        "streamlimit/cache/admissions.py",
        "known = self._read(ask) or known",
        "pass",
        from_outside("every_worker_and_nobody"),
    ),
    Mutant(
        "a short turn of another process is an outage",
        f"{SQLITE}/patience.py",
        "return RETRY_SECONDS if now < self._until else None",
        "return None",
        TROUBLE,
    ),
    Mutant(
        "a locked file blocks the loop",
        f"{SQLITE}/store.py",
        "connect(path, LOOP_SECONDS if gathers else TURN_SECONDS)",
        "connect(path, TURN_SECONDS)",
        TROUBLE,
    ),
    Mutant(
        "who waits for the file is overtaken",
        f"{SQLITE}/group_commit.py",
        "self._changes[:0], self._answers[:0] = changes[first:], answers[first:]",
        "self._changes += changes[first:][::-1]; self._answers += answers[first:][::-1]",
        TROUBLE,
    ),
    Mutant(
        "a checkpoint waits for readers with the lock in its hand",
        f"{SQLITE}/checkpoint.py",
        "sqlite3.connect(path, timeout=0, isolation_level=None)",
        "sqlite3.connect(path, timeout=1, isolation_level=None)",
        CHECKPOINTS,
    ),
    Mutant(
        "a checkpoint in vain is not told",
        f"{SQLITE}/checkpoint.py",
        "return Checkpoint(log_bytes(path), problem)",
        "return Checkpoint(log_bytes(path), None)",
        CHECKPOINTS,
    ),
    Mutant(
        "an old file stays readable for others",
        f"{SQLITE}/opening.py",
        "os.chmod(path, mode & MODE)",
        "pass",
        from_outside("nobody_elses"),
    ),
    Mutant(
        "workers outlive their parent",
        "streamlimit/bootstrap/worker.py",
        "        end_with_parent()\n",
        "",
        from_outside("parent_is_killed"),
    ),
    Mutant(
        "readiness reads only",
        f"{SQLITE}/store.py",
        'self._rows.find(QUERIES["see"], now_ms)',
        "pass",
        from_outside("every_worker_and_nobody"),
    ),
    Mutant(
        "each prober costs a write",
        "streamlimit/web/readiness.py",
        "FRESH_SECONDS = 1.0",
        "FRESH_SECONDS = 0.0",
        from_outside("once_a_second"),
    ),
    Mutant(
        "a broken copy takes the place of a good one",
        f"{SQLITE}/backup.py",
        'if problem != "ok":',
        "if False:",
        BACKUP,
    ),
    Mutant(
        "a copy is written where the last one is",
        f"{SQLITE}/backup.py",
        "_copy(path, name)",
        "_copy(path, str(into))",
        BACKUP,
    ),
    Mutant(
        "a rule's error is lost in the middle of a statement",
        f"{SQLITE}/rows.py",
        "if middle.error is not None:",
        "if False:",
        TROUBLE,
    ),
    Mutant(
        "a backup takes the place of whatever is there",
        "streamlimit/store/sqlite/backup.py",
        "    if into.exists() and not _is_copy(into):\n",
        "    if False:\n",
        ("tests/store/test_backup.py", "-k", "sense"),
    ),
]
