"""Programs that a test starts and that are no Python packages: absent on a laptop it skips, in CI it fails."""

import os
import shutil

import pytest


def needs(*programs: str) -> None:
    """Called by a test or fixture before it starts them. `CI` in the environment: absence is a failure."""
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    words = f"not on the PATH: {', '.join(missing)} (Debian: apt-get install {' '.join(missing)})"
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)
