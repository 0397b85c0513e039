"""Where settings stand: the environment and the file. (Flags are keywords of `load_settings`.)"""

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
"""No settings: which running service a command asks, and with which key."""

CONFIG_FILE = "streamlimit.toml"
SYSTEM_FILE = Path("/etc/streamlimit/streamlimit.toml")
"""Where commands find the settings of the service of this machine, wherever they are called."""


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
    """Is there a file at *path*? One that this user may not look at is: reading it says so."""
    try:
        return path.exists()
    except PermissionError:
        return True


def json_or_text(text: str) -> Any:
    """A list or a table. What is no JSON stays text, which is neither: that is reported with all else that is wrong."""
    try:
        return json.loads(text)
    except ValueError:
        return text
