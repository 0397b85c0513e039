"""Breakages of processes, reports, and of the bench's proof."""

from tests.mutants.mutant import Mutant

MUTANTS = [
    Mutant(
        "a store that lost the key of grants is not given it again",
        "streamlimit/bootstrap/access.py",
        "        await asyncio.sleep(KEY_SECONDS if grants.are_known else STORE_RETRY_SECONDS)\n",
        "        await asyncio.sleep(1_000 if grants.are_known else STORE_RETRY_SECONDS)\n",
        ("tests/e2e/test_lost_key.py",),
    ),
    Mutant(
        "another key in the store is passed over",
        "streamlimit/bootstrap/access.py",
        "        grants.learn([kept, *known][:KEYS_KEPT])\n",
        "        grants.learn([kept])\n",
        ("tests/e2e/test_lost_key.py",),
    ),
    Mutant(
        "top leaves the terminal as it needed it",
        "streamlimit/cli/keyboard.py",
        "termios.tcsetattr(self._file, termios.TCSAFLUSH, self._before)",
        "pass",
        ("tests/test_top.py",),
    ),
    Mutant(
        "one too many delivered is overlooked",
        "streamlimit/bench/proof.py",
        "if len(delivered) > self.limit:",
        "if False:",
        ("tests/bench/test_proof.py",),
    ),
    Mutant(
        "who may have expired is counted",
        "streamlimit/bench/proof.py",
        "asked_at < stay.received_after + self.lifetime",
        "True",
        ("tests/bench/test_proof.py",),
    ),
    Mutant(
        "a worker without its store does not start",
        "streamlimit/bootstrap/sqlite.py",
        "StoreUnavailable if serves else StoreLocked",
        "StoreLocked",
        ("tests/test_lazy_store.py", "-k", "starts_without_it"),
    ),
    Mutant(
        "workers outlive their parent",
        "streamlimit/bootstrap/worker.py",
        "        end_with_parent()\n",
        "",
        ("tests/e2e/test_file_faults.py", "-k", "parent_is_killed"),
    ),
    Mutant(
        "anybody can tell whose digest that is",
        "streamlimit/reporting/counts.py",
        ", key=key)",
        ")",
        ("tests/reporting/test_counts.py",),
    ),
    Mutant(
        "a title is a formula",
        "streamlimit/reporting/document.py",
        "value.startswith(FORMULAS)",
        "False",
        ("tests/reporting/test_span.py",),
    ),
    Mutant(
        "the parent keeps a signal to read the settings again to itself",
        "streamlimit/server.py",
        "                os.kill(process.pid, signal.SIGHUP)",
        "                pass",
        ("tests/test_reload.py", "-k", "every_worker"),
    ),
    Mutant(
        "a seat may last longer than four bytes can say",
        "streamlimit/settings/kinds.py",
        "LONGEST_SECONDS = 45 * 86_400",
        "LONGEST_SECONDS = 60 * 86_400",
        ("tests/web/test_longest.py",),
    ),
    Mutant(
        "n·X may be anything",
        "streamlimit/settings/table.py",
        'others.data.get("segment_seconds", 0) > LONGEST_SECONDS',
        'others.data.get("segment_seconds", 0) > float("inf")',
        ("tests/test_settings.py", "-k", "no_number_is"),
    ),
    Mutant(
        "true is a number",
        "streamlimit/settings/table.py",
        "value if kind in (bool, Reclaim) else require_no_boolean(value)",
        "value",
        ("tests/test_settings.py", "-k", "no_number_is"),
    ),
    Mutant(
        "an id that the terminal cannot show ends the command",
        "streamlimit/cli/__init__.py",
        'errors="backslashreplace"',
        'errors="strict"',
        ("tests/test_cli_exit_codes.py", "-k", "any_script"),
    ),
]
