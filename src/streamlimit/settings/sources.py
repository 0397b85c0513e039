"""The sources of settings: the environment and the file. (Flags are keywords of `load_settings`.)"""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, PydanticBaseSettingsSource

from streamlimit.errors import SettingsError

PREFIX = "STREAMLIMIT_"
CONFIG = PREFIX + "CONFIG"
OF_COMMANDS = (PREFIX + "URL", PREFIX + "KEY")
"""Variables that are not settings: the URL and the key of the running service for commands."""

CONFIG_FILE = "streamlimit.toml"
SYSTEM_FILE = Path("/etc/streamlimit/streamlimit.toml")
"""The settings file of this machine's service, found from any working directory."""


class Variables(EnvSettingsSource):
    """STREAMLIMIT_… variables; lists and tables in them are JSON."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        return json_or_text(value)


class File(PydanticBaseSettingsSource):
    """The TOML file: STREAMLIMIT_CONFIG's, else streamlimit.toml in the working directory, else the machine's."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise KeyError(field_name)  # pydantic-settings asks field by field only where __call__ does not answer

    def __call__(self) -> dict[str, Any]:
        path = file_of_settings()
        if path is None:
            return {}
        try:
            return tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(str(path), f"cannot be read: {error}") from error


def file_of_settings() -> Path | None:
    """The path of the file of settings; None: there is none, and none was named."""
    named = os.environ.get(CONFIG)
    if named is not None:
        return Path(named or CONFIG_FILE)
    return next((path for path in (Path(CONFIG_FILE), SYSTEM_FILE) if _is_there(path)), None)


def _is_there(path: Path) -> bool:
    """Is there a file at *path*? Also True for one without permission: reading it reports that."""
    try:
        return path.exists()
    except PermissionError:
        return True


def json_or_text(text: str) -> Any:
    """*text* as JSON, or unchanged where it is none: then it is reported with all other errors."""
    try:
        return json.loads(text)
    except ValueError:
        return text
