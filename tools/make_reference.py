"""Writes the tables of docs/reference/ from the code, so that they cannot tell anything else.

    python tools/make_reference.py            # bring the tables up to date
    python tools/make_reference.py --check    # exit code 1 where one is not; tests/test_docs.py does this

A table stands between two comments in its page; the words around it are written by hand.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from fastapi import FastAPI
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from streamlimit import cli
from streamlimit.cache import CachingStore
from streamlimit.census import Census
from streamlimit.settings import AdobeSettings, Callback, CdnSettings, JwtSettings, Settings
from streamlimit.tally import Tally
from streamlimit.web import metrics
from streamlimit.web.control_plane import ROUTERS
from streamlimit.web.explained import EXPLAINED
from streamlimit.web.openapi import with_hot_calls
from streamlimit.web.problems import PROBLEMS
from streamlimit.web.rights import RIGHTS

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
TABLE = re.compile(r"(<!-- made by tools/make_reference\.py: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    """Exit code."""
    stale = [page for page in sorted(FOLDER.glob("*.md")) if made(page) != page.read_text()]
    if arguments == ["--check"]:
        for page in stale:
            print(f"{page}: not what the code says; run python tools/make_reference.py", file=sys.stderr)
        return 1 if stale else 0
    for page in stale:
        page.write_text(made(page))
        print(f"wrote {page}")
    return 0


def made(page: Path) -> str:
    """The page with its tables as they should be."""
    return TABLE.sub(lambda match: match[1] + "\n" + TABLES[match[2]]() + "\n" + match[3], page.read_text())


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """In Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


# Settings


def settings_table() -> str:
    return table(("setting", "default", "values", "meaning"), map(_setting, _ordered(Settings)))


def callbacks_table() -> str:
    meanings = {
        "url": "where the events are POSTed",
        "secret": "`whsec_<base64>`, or any text; of a list each signs (rotation)",
        "types": "the event types wanted; default: all",
        "name": "in logs, commands and the outbox; default: the host and a digest of the URL",
    }
    rows = ((f"`{name}`", _default(f), _values(f.annotation, f), meanings[name]) for name, f in _ordered(Callback))
    return table(("key", "default", "values", "meaning"), rows)


def jwt_table() -> str:
    return table(("key", "default", "values", "meaning"), map(_setting, _ordered(JwtSettings)))


def adobe_table() -> str:
    return table(("key", "default", "values", "meaning"), map(_setting, _ordered(AdobeSettings)))


def cdn_table() -> str:
    return table(("key", "default", "values", "meaning"), map(_setting, _ordered(CdnSettings)))


def _ordered(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    return list(model.model_fields.items())


def _setting(item: tuple[str, FieldInfo]) -> tuple[str, ...]:
    name, field = item
    meaning = _sentence(field.description or "").replace("<", "&lt;")
    return f"`{name}`", _default(field), _values(field.annotation, field), meaning


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value in ([], {}) or isinstance(value, BaseModel):
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{value}`" if not isinstance(value, list) else f"`{value}`".replace("'", '"')


def _values(annotation: Any, field: FieldInfo | None = None) -> str:
    """The type and its bounds, in words."""
    origin, within = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _values(within[0], within[1] if isinstance(within[1], FieldInfo) else field)
    if origin in (Union, UnionType):
        return " or ".join(_values(part, field) for part in within if part is not type(None))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in within)
    if origin is list:
        return f"list of {_values(within[0])}"
    if origin is dict:
        return f"table of {_values(within[1])}"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "tables, see below" if annotation is Callback else "table, see below"
    words = {int: "whole number", float: "number", str: "text", bool: "`true`, `false`", SecretStr: "secret"}
    word = words.get(annotation) or ("path" if annotation is Path else _members(annotation))
    return word + (_bounds(field) if field is not None and annotation in (int, float) else "")


def _members(kind: Any) -> str:
    return ", ".join(f"`{member}`" for member in kind)


def _bounds(field: FieldInfo) -> str:
    found = {name: getattr(part, name) for part in field.metadata for name in ("ge", "gt", "le") if hasattr(part, name)}
    low, above, high = (found.get(name) for name in ("ge", "gt", "le"))
    text = f" from {low:,.10g}" if low is not None else f" above {above:,.10g}" if above is not None else ""
    return text + (f" to {high:,.10g}" if high is not None else "")


# Calls


def calls_table() -> str:
    return table(("call", "for", "does"), _calls())


def _calls() -> Iterable[tuple[str, ...]]:
    app = FastAPI(title="streamlimit")
    for router in ROUTERS:
        app.include_router(router)
    document = with_hot_calls(app).openapi()
    for path in sorted(document["paths"], key=_rank):
        for method, call in document["paths"][path].items():
            name = f"{method.upper()} {path}"
            yield f"`{name}`", _for(name), _sentence(call.get("description") or call.get("summary", ""))


def _rank(path: str) -> tuple[bool, bool, str]:
    """Viewers' calls first, then operators', then those about the service."""
    return not path.startswith(("/v1", "/play")), path in ("/v1/stats", "/v1/expirations", "/v1/events"), path


def _for(name: str) -> str:
    if name.startswith(("GET /play/", "POST /edge/cmcd")):
        return "the grant in its path"
    if name.startswith("/edge/adobe", name.find("/")):
        return "applications"
    if name.startswith("/edge/", name.find("/")) and name not in RIGHTS:
        return "edges"
    roles = RIGHTS.get(name)
    if roles is None:
        return "everyone"
    named = {"viewer": "viewers", "reader": "readers", "operator": "operators"}
    if "viewer" not in roles:
        named = {"service": "back ends"} | named
    return ", ".join(words for role, words in named.items() if role in roles)


# Metrics, errors, commands


def metrics_table() -> str:
    return table(("metric", "type", "labels", "meaning"), sorted(_metrics()))


def _metrics() -> Iterable[tuple[str, ...]]:
    own = metrics.Metrics(Tally(), CachingStore.__new__(CachingStore)).registry
    shared = (*metrics.service_metrics({}, None, None), *metrics.census_metrics(Census(0.0), 0.0))
    for metric in own._collector_to_names:
        yield _metric(metric._name, metric._type, metric._documentation, metric._labelnames)  # type: ignore[attr-defined]
    for family in shared:
        yield _metric(family.name, family.type, family.documentation, family._labelnames)  # type: ignore[attr-defined]


def _metric(name: str, kind: str, text: str, labels: Iterable[str]) -> tuple[str, ...]:
    suffix = "_total" if kind == "counter" else ""
    return f"`{name}{suffix}`", kind, ", ".join(f"`{label}`" for label in labels) or "–", text


def commands_table() -> str:
    return table(("command", "options of its own", "does"), _commands())


def _commands() -> Iterable[tuple[str, ...]]:
    group: Any = typer.main.get_command(cli.app)
    yield from _commands_of(group, "streamlimit")


def _commands_of(group: Any, prefix: str) -> Iterable[tuple[str, ...]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands_of(command, f"{prefix} {name}")
            continue
        own = [p for p in command.params if p.name not in Settings.model_fields and p.name != "help"]
        options = ", ".join(f"`{_shown(param)}`" for param in own) or "–"
        yield f"`{prefix} {name}`", options, _sentence((command.help or "").strip().partition("\n\n")[0])


def _shown(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"[{param.name.upper()}]" if not param.required else param.name.upper()
    return str(param.opts[0])


def _sentence(text: str) -> str:
    return " ".join(text.split())


def errors_table() -> str:
    rows = sorted((status, code) for code, (status, _) in PROBLEMS.items())
    told = ((f"`{code}`", str(status), EXPLAINED[code].when, EXPLAINED[code].engineer) for status, code in rows)
    return table(("code", "status", "when", "what to do"), told)


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "callbacks": callbacks_table,
    "jwt": jwt_table,
    "adobe": adobe_table,
    "cdn": cdn_table,
    "calls": calls_table,
    "metrics": metrics_table,
    "commands": commands_table,
    "errors": errors_table,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
