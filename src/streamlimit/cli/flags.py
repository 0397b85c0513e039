"""Command-line flags: one per setting, and those that name a running service."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, TypeAlias, get_origin

import typer

from streamlimit.cli.remote import Remote
from streamlimit.errors import SettingsError
from streamlimit.ids import wrong_with_id
from streamlimit.settings import Settings, load_settings
from streamlimit.settings.sources import json_or_text

IN_JSON = {n for n, f in Settings.model_fields.items() if n == "jwt" or get_origin(f.annotation) in (list, dict)}
"""Settings whose flag is JSON."""

Where: TypeAlias = Settings | Remote
"""The target of a command: the store of the settings, or a running service."""

Url = Annotated[
    str | None, typer.Option(envvar="STREAMLIMIT_URL", help="ask this running service; else the settings' store")
]
Key = Annotated[str | None, typer.Option(envvar="STREAMLIMIT_KEY", help="an operator's or reader's key for it")]


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives *command* one flag per setting; it is called with the loaded `settings` in their place."""

    @wraps(command)
    def run(**given: Any) -> None:
        command(load_settings(**_flags_in(given)), **given)

    return _signed(run, command, "settings")


def with_service(command: Callable[..., None]) -> Callable[..., None]:
    """As `with_settings`, and `--url` and `--key`: the command is called with a `Where`.

    With a URL no settings are read.
    """

    @wraps(command)
    def run(**given: Any) -> None:
        flags, url, key = _flags_in(given), given.pop("url"), given.pop("key")
        command(Remote(url, key) if url else load_settings(**flags), **given)

    named = (("url", Url), ("key", Key))
    more = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind) for n, kind in named]
    return _signed(run, command, "where", more)


def require_id(name: str, given: str | None) -> None:
    """Raises `SettingsError` where what was *given* as the option or argument of that *name* is no id."""
    wrong = None if given is None else wrong_with_id(given)
    if wrong is not None:
        raise SettingsError(name, wrong)


def _flags_in(given: dict[str, Any]) -> dict[str, Any]:
    return {name: _parsed(name, given.pop(name)) for name in Settings.model_fields}


def _signed(
    run: Callable[..., None], command: Callable[..., None], instead: str, more: list[inspect.Parameter] | None = None
) -> Callable[..., None]:
    """*run* with the signature of *command*, in which all flags replace one parameter, for the framework."""
    own = [p for p in inspect.signature(command).parameters.values() if p.name != instead]
    flags = [_flag(name) for name in Settings.model_fields]
    run.__signature__ = inspect.Signature(own + (more or []) + flags)  # type: ignore[attr-defined]
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
