"""`streamlimit config init`: the commented file of settings, to begin with."""

from pathlib import Path

from streamlimit.cli.deploy_files import folder
from streamlimit.errors import StreamlimitError


def write(path: Path) -> None:
    """Writes it; nothing that is there is overwritten."""
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
