"""deploy/Containerfile, built by buildah without its cache, and the image run. By `make image`: it takes minutes.

The base is `BASE`, or what the Containerfile asks for: one of buildah's own images, or to be had from its registry.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.needs import absent, needs
from tests.ports import free_port
from tests.service import Service, await_readiness

ROOT = Path(__file__).parent.parent.parent
BASE = os.environ.get("BASE") or re.findall(r"^ARG PYTHON=(\S+)", (ROOT / "deploy/Containerfile").read_text(), re.M)[0]
WHEN = "1735689600"
NAME = "streamlimit-of-the-tests"


def buildah(*arguments: str) -> str:
    """What it printed. It fails with all words of buildah."""
    ended = subprocess.run(["buildah", *arguments], capture_output=True, text=True, timeout=900, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.strip()


@pytest.fixture(scope="module", autouse=True)
def base() -> None:
    needs("buildah")
    found = subprocess.run(
        ["buildah", "pull", "--policy", "missing", BASE], capture_output=True, text=True, timeout=300
    )
    if found.returncode:
        absent(f"no base image: {found.stderr} (BASE=… names another)")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as it was committed."""
    folder = tmp_path_factory.mktemp("source")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True, timeout=120)
    return folder


def built(source: Path, name: str) -> dict[str, Any]:
    """What buildah says of the image."""
    arguments = [f"--build-arg=PYTHON={BASE}", f"--build-arg=SOURCE_DATE_EPOCH={WHEN}", f"--timestamp={WHEN}"]
    options = ["--isolation=chroot", "--network=host", "--format=docker", "--no-cache", "--tag", name]
    buildah("bud", *options, *arguments, f"--file={source}/deploy/Containerfile", str(source))
    told: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", name))
    return told


@pytest.fixture(scope="module")
def image(source: Path) -> Iterator[dict[str, Any]]:
    yield built(source, NAME)
    buildah("rmi", "--force", NAME)


def test_the_image_has_a_user_a_volume_a_signal_and_a_health_check(image: dict[str, Any]) -> None:
    config = image["Docker"]["config"]
    assert (config["User"], config["StopSignal"]) == ("10001", "SIGTERM")
    assert config["Volumes"] == {"/var/lib/streamlimit": {}}
    assert "/healthz" in config["Healthcheck"]["Test"][-1]
    assert config["Entrypoint"] + config["Cmd"] == ["streamlimit", "serve"]


def test_built_again_it_has_the_same_layers(image: dict[str, Any], source: Path) -> None:
    try:
        again = built(source, f"{NAME}-again")
        assert again["OCIv1"]["rootfs"] == image["OCIv1"]["rootfs"]
    finally:
        buildah("rmi", "--force", f"{NAME}-again")


def test_it_runs_as_its_user_keeps_its_state_in_the_volume_and_ends_when_asked(
    image: dict[str, Any], tmp_path: Path
) -> None:
    state, port = tmp_path / "state", free_port()
    state.mkdir()
    os.chown(state, 10001, 10001)
    container = buildah("from", NAME)
    try:
        with (tmp_path / "service.log").open("wb") as out:
            process = subprocess.Popen(
                ["buildah", "run", "--isolation=chroot", f"--volume={state}:/var/lib/streamlimit",
                 f"--env=STREAMLIMIT_LISTEN=127.0.0.1:{port}", container, "--", "streamlimit", "serve"],
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        service = Service(process, port, tmp_path / "service.log")  # type: ignore[arg-type]
        await_readiness(service)
        assert service.get("/healthz").status == 200
        database = state / "streamlimit.db"
        assert (database.stat().st_uid, database.stat().st_mode & 0o077) == (10001, 0)
        server = int(re.findall(r"Started server process \[(\d+)\]", service.log())[0])
        assert Path(f"/proc/{server}").stat().st_uid == 10001
        os.kill(server, signal.SIGTERM)
        process.wait(30)
        assert "Application shutdown complete" in service.log()
        assert "exited on terminated" in service.log()  # buildah's words: by this signal, once it had drained
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        buildah("rm", container)
