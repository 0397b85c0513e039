"""What operators and callers read is compared with the code: each thing is listed once, and nothing else is."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
import typer
from prometheus_client.parser import text_string_to_metric_families

from streamlimit import cli
from streamlimit.cache import CachingStore, OutagePolicy
from streamlimit.census import Census
from streamlimit.settings import EVENT_TYPES, Callback, CdnSettings, JwtSettings, Settings
from streamlimit.settings.sources import OF_COMMANDS
from streamlimit.store.sqlite import SqliteStore
from streamlimit.tally import Tally
from streamlimit.web.contract import OPERATIONS
from streamlimit.web.metrics import Metrics
from streamlimit.web.problems import PROBLEMS
from streamlimit.web.rights import RIGHTS, Role

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs/reference"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)(?:#[\w-]+)?\)")


def listed(page: str, table: int = 0) -> list[str]:
    """What the rows of a page's table are about: their first cells."""
    text = (REFERENCE / page).read_text()
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    cells = [line.split("|")[1].strip() for line in blocks[table].splitlines()[2:]]
    return [re.sub(r"^`(.*)`$", r"\1", cell) for cell in cells]


def assert_each_once(found: list[str], wanted: set[str]) -> None:
    assert {name for name, count in Counter(found).items() if count > 1} == set()
    assert set(found) == wanted


def test_the_generated_tables_are_current() -> None:
    command = [sys.executable, str(ROOT / "tools/make_reference.py"), "--check"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(("table", "model"), list(enumerate([Settings, Callback, JwtSettings])))
def test_settings(table: int, model: type[Settings | Callback | JwtSettings]) -> None:
    assert_each_once(listed("settings.md", table), set(model.model_fields))


def test_calls() -> None:
    assert_each_once(listed("calls.md"), set(OPERATIONS))


def test_every_call_that_wants_a_credential_is_listed() -> None:
    assert set(RIGHTS) <= set(listed("calls.md"))


def test_every_role_is_told_of() -> None:
    text = (REFERENCE / "calls.md").read_text() + (ROOT / "deploy/streamlimit.toml").read_text()
    words = {"nobody": "credential", "anyone": "open", "local": "loopback", "reader": "operator_read_keys"}
    assert all(words.get(role, role) in text for role in get_args(Role))


def test_errors() -> None:
    assert_each_once(listed("errors.md"), set(PROBLEMS))
    rows = re.findall(r"^\| `([\w-]+)` \| (\d{3}) \|", (REFERENCE / "errors.md").read_text(), re.MULTILINE)
    assert {code: int(status) for code, status in rows} == {code: status for code, (status, _) in PROBLEMS.items()}


def test_events() -> None:
    assert_each_once(listed("events.md"), set(EVENT_TYPES))


def test_metrics(tmp_path: Path) -> None:
    """Against a scrape: what Prometheus would see."""
    policy = Settings().policy()
    store = CachingStore(SqliteStore(str(tmp_path / "db"), policy), policy, OutagePolicy())
    tally = Tally()
    tally.admissions = 1
    text = Metrics(tally, store).text(Census(0.0), 1.0).decode()
    families = list(text_string_to_metric_families(text))
    families = [family for family in families if not family.name.endswith("_created")]  # when each began
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert_each_once(listed("metrics.md"), names)


def test_the_page_for_support_has_every_reason_that_the_console_shows() -> None:
    script = (ROOT / "src/streamlimit/web/static/console/words.js").read_text()
    shown = re.findall(r'"[\w-]+": "([^"]+)"', script[script.index("const REFUSALS") :])
    assert len(shown) >= 6
    text = (ROOT / "docs/how-to/support.md").read_text()
    assert [reason for reason in shown if f"| {reason}" not in text] == []


def test_commands() -> None:
    group = typer.main.get_command(cli.app)
    names = {" ".join(["streamlimit", *path]) for path in _paths(group)}
    assert_each_once(listed("commands.md"), names)


def _paths(group: object) -> list[list[str]]:
    found = []
    for name, command in getattr(group, "commands", {}).items():
        found += [[name, *path] for path in _paths(command)] if hasattr(command, "commands") else [[name]]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("folder", ["how-to", "reference", "adr"])
def test_the_folders_that_the_readme_names_hold_pages(folder: str) -> None:
    assert list((ROOT / "docs" / folder).glob("*.md"))


def test_settings_and_flags_that_pages_name_exist() -> None:
    """`name = value` in toml blocks, and STREAMLIMIT_… variables anywhere."""
    known = {"STREAMLIMIT_" + name.upper() for name in Settings.model_fields} | {"STREAMLIMIT_CONFIG", *OF_COMMANDS}
    texts = {page: page.read_text() for page in PAGES if page.name != "CHANGELOG.md"}
    variables = {(p.name, v) for p, text in texts.items() for v in re.findall(r"STREAMLIMIT_[A-Z_]*[A-Z]", text)}
    assert {(page, name) for page, name in variables if name not in known} == set()
    blocks = [(p.name, b) for p, text in texts.items() for b in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    fields = {*Settings.model_fields, *Callback.model_fields, *JwtSettings.model_fields, *CdnSettings.model_fields}
    named = {(page, name) for page, block in blocks for name in re.findall(r"^(\w+) = ", block, re.MULTILINE)}
    assert {(page, name) for page, name in named if name not in fields} == set()


def test_the_architecture_names_every_room_and_only_files_that_are_there() -> None:
    text, source = (ROOT / "docs/architecture.md").read_text(), ROOT / "src/streamlimit"
    rooms = {entry.stem for entry in source.iterdir() if not entry.name.startswith("__")}
    assert {room for room in rooms if not re.search(rf"\b{room}\b", text)} == set()
    files = re.findall(r"`([\w/]+\.(?:py|lua|sql))`", text)
    folders = source, source / "store/valkey", source / "store/sqlite"  # scripts and queries are named without theirs
    assert [name for name in files if not any((folder / name).exists() for folder in folders)] == []


GONE_WORDS = re.compile(r"\bwho sits\b|\bis away\b|\bcall backs?\b|\btold\b|event loop's turn", re.IGNORECASE)


@pytest.mark.parametrize("page", [p for p in PAGES if p.parent.name != "adr" and p.name != "CHANGELOG.md"], ids=str)
def test_pages_use_the_words_of_the_field(page: Path) -> None:
    """`webhook`, `unavailable`, `holds a seat`; what stands in quotes is a name."""
    text = re.sub(r'"[^"\n]*"|`[^`\n]*`', "", page.read_text())
    assert [line for line in text.splitlines() if GONE_WORDS.search(line)] == []


A_FIELD_OF_BENCH = "refused without saying who sits"
"""By which scripts know it in `--json`."""


def _said_by_the_code() -> list[str]:
    """All texts in the source but docstrings and names: help, notes of the log, errors, what both pages show."""
    found = [path.read_text() for path in (ROOT / "src/streamlimit/web/templates").glob("*.html")]
    found += re.findall(r"^#.*", (ROOT / "deploy/streamlimit.toml").read_text(), re.MULTILINE)
    for script in (ROOT / "src/streamlimit/web/static").glob("[!v]*/*.js"):
        found += re.findall(r'"[A-Za-z][^"\n]* [^"\n]*"', script.read_text())
    for file in (ROOT / "src/streamlimit").rglob("*.py"):
        tree = ast.parse(file.read_text())
        docs = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
        texts = (each for each in ast.walk(tree) if isinstance(each, ast.Constant) and id(each) not in docs)
        found += [str(each.value) for each in texts if isinstance(each.value, str) and " " in each.value]
    helps = (command.callback.__doc__ or "" for command in cli.app.registered_commands if command.callback)
    return [re.sub(r'class="[^"]*"', "", text) for text in (*found, *helps)]


def test_what_the_program_says_has_the_words_of_the_field() -> None:
    texts = [text for text in _said_by_the_code() if text != A_FIELD_OF_BENCH]
    assert len(texts) > 1_000
    assert [text for text in texts if GONE_WORDS.search(text) or "called back" in text] == []
