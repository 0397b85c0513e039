"""Vendored files are unchanged, each with its licence, as the VENDORED.md beside it lists."""

import re
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = [ROOT / each for each in ("src/streamlimit/web/static/vendor", "tests/e2e/vendor", "tests/monitoring/vendor")]
ROW = re.compile(r"^\| `([^`]+)` \| [^|]+ \| ([\d.]+) \| `[^`]+` \| ([^|]+) \| `([0-9a-f]{64})` \|$", re.MULTILINE)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_each_file_is_the_one_that_is_named(folder: Path) -> None:
    rows = ROW.findall((folder / "VENDORED.md").read_text())
    licences = {name for _, _, licence, _ in rows for name in re.findall(r"`([^`]+)`", licence)}
    files = {file.name for file in folder.iterdir()}
    assert files == {name for name, _, _, _ in rows} | licences | {"VENDORED.md"}
    for name, _, _, digest in rows:
        assert sha256((folder / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_no_address_to_download_from_is_told(folder: Path) -> None:
    assert "://" not in (folder / "VENDORED.md").read_text()
