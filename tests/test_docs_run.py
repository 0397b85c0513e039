"""Every shell block of the pages is run: against a running service, with its addresses, folders and placeholders.

What needs another machine, root or a registry is in `NOT_RUN`, each with who runs it instead; tests/test_site.py reads
it as shell all the same. README.md is walked by tests/test_readme.py, code of the library by tests/test_library.py.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
import xml.dom.minidom
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from streamlimit import cli
from streamlimit.settings import load_settings
from streamlimit.web.contract import OPERATIONS
from tests.needs import needs
from tests.service import OPERATOR_KEY, Service, started, temporary_folder

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
NOT_RUN = {
    "aws secretsmanager": "an account at AWS; tests/aws reads the template",
    "cd deploy/lambda && sam build": "an account at AWS; tests/aws builds it",
    "for node in valkey-0": "machines of that name; tests/store/test_backup.py restores",
    "helm upgrade": "a cluster; tests/test_kubernetes.py renders the chart",
    "podman build": "an engine and a base image; tests/image (make image) builds and runs it",
    "version=$(.venv/bin/streamlimit version)": "a registry; tests/test_wheel.py installs the wheel and runs its demo",
    "python3 -m venv /opt": "root and a registry; tests/test_wheel.py installs the wheel",
}
KINDS = {
    "console",
    "html",
    "js",
    "json",
    "kotlin",
    "mermaid",
    "python",
    "sh",
    "swift",
    "text",
    "toml",
    "xml",
    "yaml",
    "",
}
"""Of `swift`, `kotlin` and `text` (Roku) no compiler is here: what they name of ours is looked up."""
FILLED = {
    "https://limit.example.org": "URL",
    "https://video.example.org": "URL",
    "http://127.0.0.1:8080": "URL",
    "localhost:8080": "URL",
    "$KEY": "KEY",
    "KEY": OPERATOR_KEY,
    "USER": "ada",
    "--users 50 --seconds 30": "--users 3 --seconds 3",
    "curl -N": "curl -N --max-time 2",  # it would go on
    "journalctl -u streamlimit -o cat": "cat FOLDER/service.log",
    "/var/lib/streamlimit": "FOLDER/restored",
    "/var/backups": "FOLDER/backups",
}
ENDLESS = 28
"""What curl says when its time is over."""


def blocks(*kinds: str) -> list[tuple[str, str]]:
    """Page and text of each block of these kinds."""
    pages = sorted(page for page in DOCS.glob("**/*.md") if page.parent.name != "adr")
    found = (
        (page.name, kind, textwrap.dedent(text)) for page in pages for _, kind, text in BLOCK.findall(page.read_text())
    )
    return [(page, text) for page, kind, text in found if kind in kinds]


def is_run(text: str) -> bool:
    return not text.startswith(tuple(NOT_RUN))


SHELL = blocks("sh") + [(page, re.sub(r"^\$ ", "", text, flags=re.MULTILINE)) for page, text in blocks("console")]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    needs("bash", "curl", "jq")
    with temporary_folder() as folder:
        (folder / "backups").mkdir()
        (folder / "restored").mkdir()
        settings: dict[str, Any] = {
            "ledger_streams": "any",
            "operator_keys": [OPERATOR_KEY],
            "adobe": {"applications": ["demo-app"]},
        }
        with started(folder, segment_seconds=6, **settings) as running:
            for number in range(4):  # there is something to see, and a refusal
                running.segment("bob", f"s{number}", "clock")
            yield running


@pytest.mark.parametrize(("page", "text"), [each for each in SHELL if is_run(each[1])])
def test_the_shell_of_pages_runs(service: Service, page: str, text: str) -> None:
    if "SESSION_ID" in text:  # the second line asks with what the first one answered
        first, second = text.splitlines()
        shown = run(service, first)
        text = second.replace("SESSION_ID", re.findall(r"^location: (\S+)", shown, re.MULTILINE | re.IGNORECASE)[0])
    if "jq" in text:  # systemd's own words about a unit are in its journal, too
        with service.log_path.open("a") as log:
            log.write("Reloaded streamlimit.service.\n")
        assert "session-limit" in run(service, text)
    if "install" in text:  # what the block before it made
        run(service, "streamlimit backup /var/backups/streamlimit.db")
    run(service, text)


def run(service: Service, text: str) -> str:
    """What it printed, if no line of it failed."""
    for old, new in FILLED.items():
        text = re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", new, text)
    folder = service.log_path.parent
    text = (
        text.replace("URL", service.url).replace("FOLDER", str(folder)).replace("curl ", "curl -sS --fail-with-body ")
    )
    named = {"STREAMLIMIT_STORE": f"sqlite:///{folder}/streamlimit.db"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIMIT_")}
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=own | named | {"PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0 or (ended.returncode == ENDLESS and "curl -sS --fail-with-body -N" in text), (
        text,
        ended.stdout,
        ended.stderr,
    )
    return ended.stdout


def test_what_is_not_run_is_there_and_the_rest_is_most() -> None:
    left = [text for _, text in SHELL if not is_run(text)]
    assert [start for start in NOT_RUN if not any(text.startswith(start) for text in left)] == []
    assert len(SHELL) > 1.5 * len(left)


def test_no_block_is_of_a_kind_that_no_test_knows() -> None:
    kinds = {kind for page in DOCS.glob("**/*.md") for _, kind, _ in BLOCK.findall(page.read_text())}
    assert kinds - KINDS == set()


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_settings_in_pages_are_taken(page: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("/srv/streams", "/run/secrets"):
        text = text.replace(folder, str(tmp_path))
    pem = rsa.generate_private_key(65_537, 2_048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "cloudfront.pem").write_bytes(pem)
    for digit in "01":
        text = text.replace("sha256:…", "sha256:" + digit * 64, 1)
    (tmp_path / "streamlimit.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    found = load_settings()
    for name in tomllib.loads(text):
        assert getattr(found, name) is not None, page


@pytest.mark.parametrize(("page", "text"), blocks("xml"))
def test_xml_in_pages_can_be_read(page: str, text: str) -> None:
    assert xml.dom.minidom.parseString(text).documentElement is not None, page


@pytest.mark.parametrize(("page", "text"), blocks("html"))
def test_scripts_in_html_of_pages_are_javascript(page: str, text: str, tmp_path: Path) -> None:
    needs("node")
    scripts = re.findall(r'<script type="module">\n(.*?)</script>', text, re.DOTALL)
    assert scripts, page
    for script in scripts:
        (tmp_path / "script.mjs").write_text(script)
        subprocess.run([shutil.which("node") or "node", "--check", tmp_path / "script.mjs"], check=True, timeout=60)


def test_addresses_of_ours_in_settings_of_others_are_calls_of_ours() -> None:
    """In yaml, xml, and what media servers read."""
    paths = [path for _, text in blocks("yaml", "xml", "") for path in re.findall(r"127\.0\.0\.1:8080(/[\w/]+)", text)]
    assert len(paths) >= 4
    known = {call.split(" ", 1)[1] for call in OPERATIONS}
    assert [path for path in paths if path not in known and f"{path}{{grant}}" not in known] == []


def test_what_players_read_in_other_languages_is_in_our_answers() -> None:
    """No compiler of Swift, Kotlin or BrightScript is here."""
    told = {name for _, text in blocks("kotlin", "swift", "text") for name in re.findall(r'\w+\("(\w+)"\)', text)}
    assert {"code", "sessions"} <= told
    statuses = {status for _, text in blocks("kotlin", "swift") for status in re.findall(r"\b4\d\d\b", text)}
    assert statuses == {"409", "410"}


# What stands within a line

LINES = [
    (page.name, code)
    for page in sorted([DOCS.parent / "README.md", *DOCS.glob("**/*.md")])
    if page.parent.name != "adr"
    for code in re.findall(r"`([^`\n]+)`", page.read_text())
]
OF_OTHERS = {"/api/v1/", "/v3/", "/metadata", "/sessions/", "/runningStreams/", "/console/key"}
"""Calls of media servers, of Adobe's API below our address for it, and what only our own page asks."""


def test_every_command_within_a_line_has_these_options() -> None:
    found = [(page, words) for page, code in LINES for words in re.findall(r"(?:^|[\s/])streamlimit ([a-z].*)", code)]
    assert len(found) > 40
    assert [(page, words) for page, words in found if not is_command(words.split())] == []


def is_command(words: list[str]) -> bool:
    command: object = typer.main.get_command(cli.app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]  # type: ignore[attr-defined]  # it is a group
    options = {name for each in getattr(command, "params", ()) for name in each.opts} | {"--help"}
    given = {word.split("=")[0] for word in words if word.startswith("--")}
    return not hasattr(command, "commands") and given <= options


def test_every_call_within_a_line_is_one() -> None:
    asked = [(p, *each) for p, code in LINES for each in re.findall(r"\b(GET|POST|PUT|DELETE) (/[^\s?]*)", code)]
    ours = [each for each in asked if not each[2].startswith(tuple(OF_OTHERS))]
    assert len(ours) > 60
    assert [each for each in ours if not any(fits(call, *each[1:]) for call in OPERATIONS)] == []


def fits(call: str, method: str, path: str) -> bool:
    """Is it that call of the contract, with something in the place of each name?"""
    known, pattern = call.split(" ", 1)
    parts = re.split(r"\{(\w+)\}", pattern)
    named = [".+" if part == "path" else "[^/]+" for part in parts[1::2]]
    text = "".join(re.escape(each) + name for each, name in zip(parts[::2], [*named, ""], strict=True))
    return known == method and re.fullmatch(text, path.rstrip(",;:")) is not None
