"""A release: the wheel, installed without a network, serves and finds its deploy files; the archive is complete."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.service import Service, await_readiness, stop

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment of its own: the wheel, and what it depends on from the tests' environment."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "tests-own.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-qq", "--no-index", "--no-deps", str(wheel)], check=True, timeout=120)
    return folder / "bin/streamlimit"


def run(program: Path, *arguments: str, cwd: Path) -> str:
    ended = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_wheel_holds_all_that_is_no_code(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = ["py.typed", "deploy/streamlimit.toml", "deploy/helm/streamlimit/Chart.yaml", "web/static/client.js"]
    wanted += ["store/valkey/admit.lua", "store/sqlite/schema.sql", "samples/aurora/master.m3u8"]
    assert {f"streamlimit/{name}" for name in wanted} - names == set()
    deploy = {path.relative_to(ROOT).as_posix() for path in (ROOT / "deploy").rglob("*") if path.is_file()}
    assert {f"streamlimit/{name}" for name in deploy} - names == set()


def test_no_file_of_the_package_is_missing_from_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path.relative_to(ROOT / "src").as_posix() for path in files} - names == set()


def test_the_archive_of_the_sources_holds_what_make_and_the_pages_need(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    (made,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(made) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    wanted = {"Makefile", "SECURITY.md", "mkdocs.yml", "requirements.lock", "requirements-sam.lock", ".ci/run"}
    wanted |= {"tools/make_samples.py", "tools/docs_links.py", "bench/__main__.py", "bench/results/report.md"}
    assert wanted - names == set()


def test_the_deploy_files_are_found_and_copied(program: Path, tmp_path: Path) -> None:
    listed = [Path(line) for line in run(program, "config", "files", cwd=tmp_path).splitlines()]
    assert len(listed) > 20
    assert all(path.is_file() and program.parent.parent in path.parents for path in listed)
    assert run(program, "config", "files", "--to", "mine", cwd=tmp_path).endswith("to mine, 0 were there already\n")
    (tmp_path / "mine/streamlimit.toml").write_text("max_sessions = 2\n")
    (tmp_path / "mine/nginx.conf").unlink()
    assert run(program, "config", "files", "--to", "mine", cwd=tmp_path).startswith("1 files copied")
    assert (tmp_path / "mine/streamlimit.toml").read_text() == "max_sessions = 2\n"


def test_the_demo_runs_from_it(program: Path, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIMIT_")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, "demo", "--listen", f"127.0.0.1:{port}"],
            cwd=tmp_path, stdout=out, stderr=out, start_new_session=True, env=own,
        )  # fmt: skip
    service = Service(process, port, log)
    try:
        await_readiness(service)
        assert service.segment("ada", "tv", "aurora").status == 200
        assert service.get("/watch").status == 200
    finally:
        stop(process)
