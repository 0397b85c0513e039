"""openapi-typescript's types of /openapi.json, and a client that fits them. By `make typescript`, which needs npm."""

import json
import shutil
import subprocess
from pathlib import Path

from tests.service import started

HERE = Path(__file__).parent
BIN = HERE / "node_modules/.bin"
STRICT = [
    "--strict",
    "--exactOptionalPropertyTypes",
    "--noUncheckedIndexedAccess",
    "--module",
    "nodenext",
    "--target",
    "es2022",
]


def test_a_client_with_types_made_of_the_contract_compiles_and_runs(tmp_path: Path) -> None:
    shutil.copy(HERE / "client.ts", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    with started(tmp_path) as service:
        (tmp_path / "openapi.json").write_bytes(service.get("/openapi.json").body)
        run(tmp_path, str(BIN / "openapi-typescript"), "openapi.json", "-o", "streamlimit.d.ts")
        run(tmp_path, str(BIN / "tsc"), *STRICT, "--lib", "es2022,dom", "client.ts")
        walk = f"import {{ walk }} from './client.js'; console.log(JSON.stringify(await walk('{service.url}')))"
        said = json.loads(run(tmp_path, "node", "--input-type=module", "--eval", walk))
    assert said == [
        "tv starting",
        "phone starting",
        "pad starting",
        "3 of 3 seats: tv, phone, pad",
        "ada: 3 of 3",
    ]


def run(folder: Path, *command: str) -> str:
    """What it printed. Fails with all its words."""
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_lock_names_what_is_in_each_package_and_no_host() -> None:
    text = (HERE / "package-lock.json").read_text()
    packages = {name: told for name, told in json.loads(text)["packages"].items() if name}
    assert [name for name, told in packages.items() if not told["integrity"].startswith("sha512-")] == []
    assert "://" not in text
