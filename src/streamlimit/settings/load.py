"""Loading of the settings of this process, and the errors in them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError

from streamlimit.errors import SettingsError, several
from streamlimit.settings.sources import CONFIG, OF_COMMANDS, PREFIX, file_of_settings
from streamlimit.settings.table import Settings


def load_settings(**flags: Any) -> Settings:
    """The settings; *flags* that are None count as not given. Raises `SettingsError` with all that is wrong."""
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given).given_by(given, file_of_settings())
    except ValidationError as error:
        raise several([_wrong(each) for each in error.errors(include_url=False, include_input=False)]) from error


def load_again(settings: Settings) -> Settings:
    """The settings by the present file, with the flags of *settings* and the variables.

    Raises `SettingsError`.
    """
    if settings.file is not None and not settings.file.exists():
        raise SettingsError(str(settings.file), "is not there any more")  # else all keys would be gone, too
    return load_settings(**settings.flags).made_for_this_run(settings.made)


def unknown_variables() -> list[str]:
    """The STREAMLIMIT_… variables without a setting. No error: Kubernetes sets some by itself."""
    known = _variables()
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def notes_on_variables() -> list[str]:
    """Notes for the operator on variables of the environment."""
    return [f"{name} is no setting{_did_you_mean(name, _variables())}" for name in unknown_variables()]


def _variables() -> set[str]:
    return {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG, *OF_COMMANDS}


def _wrong(found: Mapping[str, Any]) -> SettingsError:
    """The SettingsError for one of pydantic's errors."""
    name, words = ".".join(map(str, found["loc"])), str(found["msg"]).removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        words = "there is no such setting" + _did_you_mean(*_known_beside(found["loc"]))
    elif found["type"] in ("list_type", "dict_type", "model_type"):
        words += "; in a variable or a flag, give it as JSON"
    return SettingsError(name or "settings", words)


def _known_beside(place: Sequence[str | int]) -> tuple[str, Iterable[str]]:
    """The last name of *place*, and the valid names of its table, which may be a nested one."""
    table: Any = Settings
    for name in place[:-1]:
        if isinstance(name, str) and name in getattr(table, "model_fields", ()):
            table = _table_in(table.model_fields[name].annotation)
    return str(place[-1]), getattr(table, "model_fields", ())


def _table_in(kind: Any) -> Any:
    """The model in a setting's type: `Model`, `Model | None`, `list[Model]`; None: there is none."""
    if hasattr(kind, "model_fields"):
        return kind
    return next((found for part in get_args(kind) if (found := _table_in(part)) is not None), None)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    likely = get_close_matches(name.lower().replace("-", "_"), [each.lower() for each in known], 1, 0.75)
    return f"; did you mean {next(each for each in known if each.lower() == likely[0])}?" if likely else ""
