"""`streamlimit config`: the files of deploy/ that the package brings, the settings to begin with among them."""

import shutil
from pathlib import Path

from streamlimit.errors import StreamlimitError


def folder() -> Path:
    """The folder of the examples: beside this code in an installed package, at the root of a checkout."""
    package = Path(__file__).parent.parent
    places = [package / "deploy", package.parent.parent / "deploy"]
    found = next((place for place in places if (place / "streamlimit.toml").is_file()), None)
    if found is None:
        raise StreamlimitError("this installation has no deploy files")
    return found


def show(to: Path | None) -> None:
    """Prints the paths of the examples, or copies them to *to* and prints the copies. Existing files are kept."""
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


def write(path: Path) -> None:
    """Writes the commented file of settings to *path*; nothing that is there is overwritten."""
    text = folder().joinpath("streamlimit.toml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        path.chmod(0o600)  # keys and secrets are written into it
    except FileExistsError as error:
        raise StreamlimitError(f"{path} is there already, and stays as it is") from error
    except OSError as error:
        raise StreamlimitError(f"{path} cannot be written: {error.strerror or error}") from error
    print(f"wrote {path}: every setting with its default")


def _copy(source: Path, target: Path) -> bool:
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    return True
