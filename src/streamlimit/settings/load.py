"""The settings of this process, or what is wrong with them."""

import os
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from streamlimit.errors import SettingsError, several
from streamlimit.settings.sources import CONFIG, PREFIX
from streamlimit.settings.table import Settings


def load_settings(**flags: Any) -> Settings:
    """The settings; *flags* that are None were not given. Raises `SettingsError`, for all that is wrong."""
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given).given_by(given)
    except ValidationError as error:
        raise several([_wrong(each) for each in error.errors(include_url=False, include_input=False)]) from error


def load_again(settings: Settings) -> Settings:
    """What the file says now beside the flags and variables by which *settings* were loaded. Raises `SettingsError`."""
    return load_settings(**settings.flags).made_for_this_run(settings.made)


def unknown_variables() -> list[str]:
    """STREAMLIMIT_… variables that no setting has. Not an error: Kubernetes makes some by itself."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def _wrong(found: Mapping[str, Any]) -> SettingsError:
    """One of pydantic's errors, in words."""
    name, words = ".".join(map(str, found["loc"])), str(found["msg"]).removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        words = "there is no such setting"
    elif found["type"] in ("list_type", "dict_type", "model_type"):
        words += "; in a variable or a flag, give it as JSON"
    return SettingsError(name or "settings", words)
