"""The pages as a site, the code that stands in them, and the receivers of webhooks, which are run."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
import yaml
from standardwebhooks import Webhook

from streamlimit import cli
from tests.needs import needs
from tests.ports import free_port

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    *(page for page in sorted(DOCS.glob("**/*.md")) if page.parent.name != "adr"),
]
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SECRET = "whsec_c3RyZWFtbGltaXQtZG9jdW1lbnRhdGlvbi1zZWNyZXQ="
ASKS = re.compile(r'<(?:script|img|link)[^>]*(?:src|href)="?(https?://[^"\s>]*)')


def blocks(kind: str) -> list[tuple[str, str]]:
    """Page and text of each block of that kind, without the indent that it has as a whole."""
    found = []
    for page in PAGES:
        for indent, name, text in BLOCK.findall(page.read_text()):
            if name == kind:
                found.append((page.name, "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))))
    return found


def test_the_site_is_built_without_a_warning_and_asks_no_other_host(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="make setup")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    pages = list(tmp_path.glob("**/*.html"))
    assert len(pages) > 30
    assert {url for page in pages for url in ASKS.findall(page.read_text())} == set()


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r"- ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    there = {page.relative_to(DOCS).as_posix() for page in DOCS.glob("**/*.md") if page.parent.name != "adr"}
    assert there - named == set(), "name it in mkdocs.yml, under Tutorial, How to, Reference or Explanation"
    assert named - there == set()


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_python_in_pages_compiles(page: str, text: str) -> None:
    compile(text, page, "exec")


def test_toml_json_and_yaml_in_pages_can_be_read() -> None:
    for page, text in blocks("toml"):
        assert tomllib.loads(text) is not None, page
    for _, text in blocks("yaml"):
        yaml.safe_load(text)
    for page, text in blocks("json"):
        assert json.loads(text.replace("…", "")) is not None, page


def test_the_shell_in_pages_is_shell_and_its_commands_of_streamlimit_exist() -> None:
    group = typer.main.get_command(cli.app)
    known = set(getattr(group, "commands", {}))
    for page, text in [
        *blocks("sh"),
        *((p, "\n".join(re.findall(r"^\$ (.*)", t, re.M))) for p, t in blocks("console")),
    ]:
        ended = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, timeout=20)
        assert ended.returncode == 0, f"{page}: {ended.stderr}\n{text}"
        for name in re.findall(r"^(?:\S*/)?streamlimit ([a-z-]+)", text, re.MULTILINE):
            assert name in known, f"{page}: streamlimit {name}"


def test_javascript_in_pages_is_javascript(tmp_path: Path) -> None:
    needs("node")
    for number, (page, text) in enumerate(blocks("js")):
        ending = "mjs" if re.search(r"^import ", text, re.MULTILINE) else "js"
        (tmp_path / f"{number}.{ending}").write_text(text)
        ended = subprocess.run(
            ["node", "--check", str(tmp_path / f"{number}.{ending}")], capture_output=True, timeout=20
        )
        assert ended.returncode == 0, f"{page}: {ended.stderr.decode()}"


# The receivers of docs/how-to/receive-webhooks.md


@pytest.fixture(params=["python", "js"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Its address, and its program, as the page has it."""
    program = {"python": sys.executable, "js": shutil.which("node") or "node"}[request.param]
    needs(program)
    (source,) = (text for page, text in blocks(request.param) if page == "receive-webhooks.md")
    (tmp_path / f"receiver.{request.param}").write_text(source)
    port = free_port()
    process = subprocess.Popen(
        [program, tmp_path / f"receiver.{request.param}"],
        env=os.environ | {"WEBHOOK_SECRET": SECRET, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield f"http://127.0.0.1:{port}", process
    process.kill()
    process.communicate()


def post(url: str, body: str, webhook_id: str, secret: str = SECRET) -> int:
    """The status; tried until somebody listens there."""
    at = datetime.now(UTC)
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body),
    }
    deadline = time.monotonic() + 30
    while True:
        try:
            return int(urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=20).status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_the_receivers_verify_and_count_each_event_once(receiver: tuple[str, "subprocess.Popen[str]"]) -> None:
    url, process = receiver
    body = json.dumps({"type": "session.expired", "data": {"session": {"user_id": "ada"}, "reason": "silent"}})
    assert post(url, body, "one", secret="whsec_" + "b3RoZXI" * 4 + "==" * 0) == 401
    assert [post(url, body, "one"), post(url, body, "one"), post(url, body, "two")] == [204] * 3
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["session.expired ada\n"] * 2
    process.kill()
    assert process.stdout.read() == ""


def test_a_step_of_the_walk_is_walked() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.walk", "embed"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.fullmatch(r"embed +\d+\.\d\d min +15 lines of Python\nall +\d+\.\d\d min\n", ended.stdout)
