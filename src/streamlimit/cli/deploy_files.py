"""`streamlimit config files`: the examples of deploy/ (settings, proxies, units, charts), which the package brings."""

import shutil
from pathlib import Path

from streamlimit.errors import StreamlimitError


def folder() -> Path:
    """In an installed package beside this code, in a checkout at the root of it."""
    package = Path(__file__).parent.parent
    places = [package / "deploy", package.parent.parent / "deploy"]
    found = next((place for place in places if (place / "streamlimit.toml").is_file()), None)
    if found is None:
        raise StreamlimitError("this installation has no deploy files")
    return found


def show(to: Path | None) -> None:
    """Prints where each is; or copies all, and says where. A file that is there already is left as it is."""
    source = folder()
    names = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    if to is None:
        for name in names:
            print(source / name)
        return
    try:
        copied = [name for name in names if _copy(source / name, to / name)]
    except OSError as error:
        raise StreamlimitError(f"{to}: {error.strerror}") from error
    print(f"{len(copied)} files copied to {to}, {len(names) - len(copied)} were there already")


def _copy(source: Path, target: Path) -> bool:
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    return True
