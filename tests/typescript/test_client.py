"""Two clients in TypeScript compile and run: one with types made of /openapi.json, one of clients/js and its types."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.service import started
from tests.typescript.node import HERE, LOCK, fetch_packages, run

PACKAGE = HERE.parent.parent / "clients/js"
STRICT = [
    "--strict",
    "--exactOptionalPropertyTypes",
    "--noUncheckedIndexedAccess",
    "--module",
    "nodenext",
    "--target",
    "es2022",
    "--lib",
    "es2022,dom",
]


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    fetch_packages()


def walked(folder: Path, name: str) -> list[str]:
    """What the client of that name says of its walk, once it has compiled with the types of a running service."""
    shutil.copy(HERE / f"{name}.ts", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    with started(folder) as service:
        (folder / "openapi.json").write_bytes(service.get("/openapi.json").body)
        run(folder, "openapi-typescript", "openapi.json", "-o", "streamlimit.d.ts")
        run(folder, "tsc", *STRICT, f"{name}.ts")
        said: list[str] = evaluated(folder, f"await (await import('./{name}.js')).walk('{service.url}')")
    return said


def evaluated(folder: Path, expression: str) -> Any:
    script = f"console.log(JSON.stringify({expression}))"
    return json.loads(run(folder, "node", "--input-type=module", "--eval", script))


def in_order(names: dict[str, list[str]]) -> dict[str, list[str]]:
    return {kind: sorted(each) for kind, each in names.items()}


def test_a_client_with_types_made_of_the_contract_compiles_and_runs(tmp_path: Path) -> None:
    assert walked(tmp_path, "client") == [
        "tv starting",
        "phone starting",
        "pad starting",
        "3 of 3 seats: tv, phone, pad",
        "ada: 3 of 3",
    ]


def test_a_page_with_our_package_compiles_and_runs_and_its_types_are_true(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "node_modules/streamlimit")
    assert walked(tmp_path, "page") == [
        "open, ada, string, string, true",
        "refused, session-limit, TV phone pad",
        "3 of 3",
        "true, open",
        "closed",
    ]
    members = "[...Object.getOwnPropertyNames(StreamSession.prototype).slice(1), ...Object.keys(new StreamSession({}))]"
    (tmp_path / "there.js").write_text(
        "import * as streamlimit from 'streamlimit'; const { StreamSession } = streamlimit;"
        f"export default {{ exported: Object.keys(streamlimit), members: {members} }};"
    )
    there = evaluated(tmp_path, "(await import('./there.js')).default")
    typed = evaluated(tmp_path, "(await import('./page.js')).named")
    assert in_order(typed) == in_order(there)


def test_the_lock_names_what_is_in_each_package_and_no_host() -> None:
    text = LOCK.read_text()
    packages = {name: package for name, package in json.loads(text)["packages"].items() if name}
    assert [name for name, package in packages.items() if not package["integrity"].startswith("sha512-")] == []
    assert "://" not in text
