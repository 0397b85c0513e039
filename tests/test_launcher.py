"""The launcher starts the real command in surroundings of its own, and waits for it as for any other process."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from streamlimit import __version__
from tests import launcher


def test_a_command_runs_with_its_own_folder_environment_and_outputs(tmp_path: Path) -> None:
    assert launcher.run(["version"], tmp_path) == (0, f"{__version__}\n", "")
    (tmp_path / "streamlimit.toml").write_text("max_sesions = 4")
    code, out, err = launcher.run(["check-config"], tmp_path, os.environ | {"STREAMLIMIT_WORKERS": "0"})
    assert (code, out) == (2, "")
    assert "max_sesions" in err
    assert "workers" in err


def test_a_process_is_waited_for_and_signalled(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = launcher.start(["serve", "--listen", "127.0.0.1:0"], tmp_path, os.environ, log, log)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    assert os.getpgid(process.pid) == process.pid
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == process.poll() == process.returncode == -signal.SIGKILL
    process.send_signal(signal.SIGTERM)  # it is gone, and whoever has its number now is left alone
