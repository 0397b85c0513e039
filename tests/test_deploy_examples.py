"""The examples in deploy/ are read by the programs they are for, where these are installed."""

import re
import subprocess
from pathlib import Path

import pytest

import streamlimit
from tests.needs import needs

DEPLOY = Path(streamlimit.__file__).parents[2] / "deploy"  # which mutants break a copy of


def test_nginx_takes_its_example(tmp_path: Path) -> None:
    needs("nginx")
    text = (DEPLOY / "nginx.conf").read_text().replace("/var/log/nginx", str(tmp_path))
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/nginx.pid;\n{text}")
    command = ["nginx", "-t", "-q", "-e", f"{tmp_path}/error.log", "-c", f"{tmp_path}/nginx.conf"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-workers.conf", "nginx-accel.conf"])
def test_nobody_speaks_for_viewers_through_a_proxy_that_hands_everything_on(name: str) -> None:
    text = (DEPLOY / name).read_text()
    block = re.search(r"location ~ (\S+) \{\s+return 404;", text)
    assert block is not None
    paths = ["/edge/auth", "/edge/envoy/x", "/edge/reports", "/edge/rtmp", "/edge/cmcd/G", "/edge/adobe/v2/x", "/v1/x"]
    assert [path for path in paths if re.search(block[1], path)] == paths[:4]


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    needs("systemd-analyze")
    text = (DEPLOY / "streamlimit.service").read_text()
    unit = tmp_path / "streamlimit.service"
    unit.write_text(text.replace("/opt/streamlimit/bin/streamlimit", "/bin/true"))  # it wants the program to exist
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_unit_waits_longer_than_the_service_drains() -> None:
    text = (DEPLOY / "streamlimit.service").read_text()
    drain = re.search(r"^drain_seconds = (\d+)", (DEPLOY / "streamlimit.toml").read_text(), re.MULTILINE)
    stop = re.search(r"^TimeoutStopSec=(\d+)", text, re.MULTILINE)
    assert drain is not None
    assert stop is not None
    assert int(stop[1]) > int(drain[1])


def test_the_unit_tries_a_full_disk_again_without_an_end_and_a_wrong_setting_not_at_all() -> None:
    text = (DEPLOY / "streamlimit.service").read_text()
    unit, service = text[text.index("[Unit]") : text.index("[Service]")], text[text.index("[Service]") :]
    assert "\nStartLimitIntervalSec=0\n" in unit
    assert "\nRestart=on-failure\n" in service
    assert "\nRestartPreventExitStatus=2\n" in service


def test_the_unit_makes_the_folder_of_the_socket_that_recipes_write_to() -> None:
    """Else the service ends with code 2 there: it may write nowhere else, and makes no folder itself."""
    recipes = [path.read_text() for path in DEPLOY.rglob("*") if path.suffix in {".conf", ".cfg"}]
    folders = {Path(found).parent for text in recipes for found in re.findall(r'edge_log = "unix:([^"]+)"', text)}
    unit = (DEPLOY / "streamlimit.service").read_text()
    made = re.findall(r"^RuntimeDirectory=(\S+)$", unit, re.MULTILINE)
    assert folders == {Path("/run") / name for name in made}
    assert "RuntimeDirectoryMode=0755" in unit.splitlines()  # edges are other users


@pytest.mark.parametrize("name", ["streamlimit.service", "Containerfile"])
def test_the_settings_file_is_where_the_how_to_says(name: str) -> None:
    assert "STREAMLIMIT_CONFIG=/etc/streamlimit/streamlimit.toml" in (DEPLOY / name).read_text()


def test_what_the_containerfile_copies_is_there() -> None:
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    names = [name for line in lines for name in line.split()]
    assert len(names) >= 5
    assert all((DEPLOY.parent / name).exists() for name in names)


def test_what_the_containerfile_copies_and_nothing_else_is_sent_to_the_engine() -> None:
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    copied = {name.split("/")[0] for line in lines for name in line.split()}
    ignored = (DEPLOY.parent / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


def test_the_containerfile_runs_as_nobody_special_and_is_asked_how_it_is() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
    assert "/healthz" in text


def test_the_container_can_be_built_the_same_again() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert bases == ["$PYTHON"] * 2
    assert "ARG SOURCE_DATE_EPOCH=" in text
    assert "--constraint constraints.txt" in text
