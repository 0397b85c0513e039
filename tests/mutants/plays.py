"""Breakages of plays: how a player is led through one."""

from tests.mutants.mutant import Mutant

LEADING, PLAYS, VIEWER = "streamlimit/delivery/leading.py", "streamlimit/web/plays.py", "streamlimit/web/viewer.py"
TEXTS, WEB = ("tests/delivery/test_leading.py",), ("tests/web/test_plays.py",)

MUTANTS = [
    Mutant(
        "machine: whoever is not the one that plays is locked out",
        "streamlimit/rules/plays.py",
        "return seat.is_locked and play is not None and play < seat.play and is_change",
        "return seat.is_locked and play is not None and is_change",
        ("tests/store/test_machine.py", "-k", "players"),
    ),
    Mutant(
        "machine: no play is locked out",
        "streamlimit/rules/plays.py",
        "return seat.is_locked and play is not None and play < seat.play and is_change",
        "return False and is_change",
        ("tests/store/test_machine.py", "-k", "players"),
    ),
    Mutant("an entry is sent as it is", VIEWER, "begins = not caller.play and not is_reload", "begins = False", WEB),
    Mutant(
        "a reload begins a play", VIEWER, "begins = not caller.play and not is_reload", "begins = not caller.play", WEB
    ),
    Mutant("a manifest under a play is led again", VIEWER, "begins = not caller.play and", "begins = True and", WEB),
    Mutant("foreign hosts are led", LEADING, 'uri[0] in "/\\\\" or ', "", TEXTS),
    Mutant("a base of the manifest's own is lost", LEADING, "escape(to) + (inner", "escape(to) or (inner", TEXTS),
    Mutant(
        "a dynamic manifest is found where it was",
        LEADING,
        "    if is_dynamic:\n        added",
        "    if False:\n        added",
        TEXTS,
    ),
    Mutant("a play of the future is taken", PLAYS, "play >> RANDOM_BITS > latest_ms", "False", WEB),
]
