"""Breakages of what is installed and deployed."""

from tests.mutants.mutant import Mutant

FILES, WHEEL = "streamlimit/cli/deploy_files.py", ("tests/test_wheel.py",)

MUTANTS = [
    Mutant("a file of the operator's is written over", FILES, "if target.exists():", "if False:", WHEEL),
    Mutant("an installed package has no deploy files", FILES, 'package / "deploy", ', "", WHEEL),
]
