"""Programs that a test starts and that are no Python packages: absent on a laptop it skips, in CI it fails."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def needs(*programs: str) -> None:
    """Called by a test or fixture before it starts them. `CI` in the environment: absence is a failure."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        absent(f"not on the PATH: {', '.join(missing)} (Debian: apt-get install {' '.join(missing)})")


def needs_file(pattern: str, package: str) -> None:
    """The same of a file that matches *pattern*, which the Debian *package* brings."""
    if not list(Path("/").glob(pattern)):
        absent(f"no /{pattern} (Debian: apt-get install {package})")


def absent(words: str) -> NoReturn:
    """Skips the test that needs what is absent, and says so; in CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)
