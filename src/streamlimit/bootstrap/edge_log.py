"""The check of `edge_log` before the start: can lines be listened for there? Makes no file."""

import os
from pathlib import Path

from streamlimit.edge.datagrams import bound
from streamlimit.errors import SettingsError
from streamlimit.settings import Settings


def check_edge_log(settings: Settings) -> None:
    """Raises `SettingsError` where the edge's log can never be listened for or read."""
    where = settings.edge_log
    wrong = None if where is None else _wrong_with(where)
    if wrong is not None:
        raise SettingsError("edge_log", f"{where}: {wrong}")


def _wrong_with(where: str) -> str | None:
    if where.startswith("udp:"):
        return _wrong_with_port(where)
    kind, _, path = where.partition(":")
    if Path(path).is_dir():
        return "is a folder"
    folder = Path(path).parent
    if kind == "unix" and not folder.is_dir():
        return f"there is no folder {folder}"
    return "its folder may not be written to" if kind == "unix" and not os.access(folder, os.W_OK) else None


def _wrong_with_port(where: str) -> str | None:
    try:
        line = bound(where)
    except OSError as error:
        return error.strerror or str(error)
    if line is not None:  # else another process listens there: a worker of the service that runs
        line.close()
    return None
