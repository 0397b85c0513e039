"""Breakages of what players and media servers tell by protocols of their own."""

from tests.mutants.mutant import Mutant

CMCD, CMCD_TESTS = "streamlimit/edge/cmcd_report.py", ("tests/edge/test_cmcd.py",)
SEATING = "streamlimit/edge/seating.py"

MUTANTS = [
    Mutant(
        "a player that pauses plays",
        CMCD,
        "Says.PAUSES if state in PAUSES else Says.PLAYS",
        "Says.PLAYS",
        CMCD_TESTS,
    ),
    Mutant("a player's end is the last of its batch", CMCD, "told = [report]", "told += [report]", CMCD_TESTS),
    Mutant("an ended play kills the grant", SEATING, "keep_grant=True", "keep_grant=False", CMCD_TESTS),
]
