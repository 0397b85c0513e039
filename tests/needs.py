"""Programs that a test starts and that are no Python packages: absent on a laptop it skips, in CI it fails."""

import os
import shutil
from pathlib import Path

import pytest


def needs(*programs: str) -> None:
    """Called by a test or fixture before it starts them. `CI` in the environment: absence is a failure."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        _absent(f"not on the PATH: {', '.join(missing)} (Debian: apt-get install {' '.join(missing)})")


def needs_file(pattern: str, package: str) -> None:
    """The same of a file that matches *pattern*, which the Debian *package* brings."""
    if not list(Path("/").glob(pattern)):
        _absent(f"no /{pattern} (Debian: apt-get install {package})")


def _absent(words: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)
