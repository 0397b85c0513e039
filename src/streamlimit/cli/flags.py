"""One flag per setting, for every command that works with them."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, get_origin

import typer

from streamlimit.settings import Settings, load_settings
from streamlimit.settings.sources import json_or_text

IN_JSON = {n for n, f in Settings.model_fields.items() if n == "jwt" or get_origin(f.annotation) in (list, dict)}
"""Settings that a flag gives as JSON."""


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives *command* one flag per setting; it is called with the loaded `settings` in their place."""

    @wraps(command)
    def run(**given: Any) -> None:
        flags = {name: _parsed(name, given.pop(name)) for name in Settings.model_fields}
        command(load_settings(**flags), **given)

    own = [p for p in inspect.signature(command).parameters.values() if p.name != "settings"]
    run.__signature__ = inspect.Signature(own + [_flag(name) for name in Settings.model_fields])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in run.__signature__.parameters.values()}  # type: ignore[attr-defined]
    return run


def _flag(name: str) -> inspect.Parameter:
    option = typer.Option(
        "--" + name.replace("_", "-"),
        help=Settings.model_fields[name].description,
        rich_help_panel="Settings (before STREAMLIMIT_… variables and streamlimit.toml)",
        show_default=False,
    )
    kind = Annotated[str | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _parsed(name: str, text: str | None) -> Any:
    return json_or_text(text) if text is not None and name in IN_JSON else text
