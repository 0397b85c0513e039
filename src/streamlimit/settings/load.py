"""The settings of this process, or what is wrong with them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError

from streamlimit.errors import SettingsError, several
from streamlimit.settings.sources import CONFIG, OF_COMMANDS, PREFIX, file_of_settings
from streamlimit.settings.table import Settings


def load_settings(**flags: Any) -> Settings:
    """The settings; *flags* that are None were not given. Raises `SettingsError`, for all that is wrong."""
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given).given_by(given, file_of_settings())
    except ValidationError as error:
        raise several([_wrong(each) for each in error.errors(include_url=False, include_input=False)]) from error


def load_again(settings: Settings) -> Settings:
    """The settings by the file as it is now, and the flags and variables by which *settings* were loaded.

    Raises `SettingsError`.
    """
    if settings.file is not None and not settings.file.exists():
        raise SettingsError(str(settings.file), "is not there any more")  # else all keys would be gone, too
    return load_settings(**settings.flags).made_for_this_run(settings.made)


def unknown_variables() -> list[str]:
    """STREAMLIMIT_… variables that no setting has. Not an error: Kubernetes makes some by itself."""
    known = _variables()
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def notes_on_variables() -> list[str]:
    """Notes for the operator on variables of the environment."""
    return [f"{name} is no setting{_did_you_mean(name, _variables())}" for name in unknown_variables()]


def _variables() -> set[str]:
    return {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG, *OF_COMMANDS}


def _wrong(found: Mapping[str, Any]) -> SettingsError:
    """One of pydantic's errors, in words."""
    name, words = ".".join(map(str, found["loc"])), str(found["msg"]).removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        words = "there is no such setting" + _did_you_mean(*_known_beside(found["loc"]))
    elif found["type"] in ("list_type", "dict_type", "model_type"):
        words += "; in a variable or a flag, give it as JSON"
    return SettingsError(name or "settings", words)


def _known_beside(place: Sequence[str | int]) -> tuple[str, Iterable[str]]:
    """The last name of *place*, and those that there are where it stands: in the table, or in a table within."""
    table: Any = Settings
    for name in place[:-1]:
        if isinstance(name, str) and name in getattr(table, "model_fields", ()):
            table = _table_in(table.model_fields[name].annotation)
    return str(place[-1]), getattr(table, "model_fields", ())


def _table_in(kind: Any) -> Any:
    """The model that a setting's kind is, or holds: `Model`, `Model | None`, `list[Model]`."""
    if hasattr(kind, "model_fields"):
        return kind
    return next((found for part in get_args(kind) if (found := _table_in(part)) is not None), None)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    likely = get_close_matches(name.lower().replace("-", "_"), [each.lower() for each in known], 1, 0.75)
    return f"; did you mean {next(each for each in known if each.lower() == likely[0])}?" if likely else ""
