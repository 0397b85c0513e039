"""A copy of the store, where that is a file."""

from pathlib import Path

from streamlimit.bootstrap.store import is_sqlite, sqlite_path
from streamlimit.errors import StreamlimitError
from streamlimit.settings import Settings

ELSEWHERE = (
    "the store is no file of this machine: let its servers save it (BGSAVE, then copy the dump.rdb of each primary). "
    "Sessions are worth nothing after n·X; set grant_keys to be independent of what is lost with the servers"
)


def back_up(settings: Settings, into: Path) -> int:
    """Copies the store that the settings name to *into*; its bytes. Raises `StreamlimitError`, with words."""
    if not is_sqlite(settings):
        raise StreamlimitError(ELSEWHERE)
    from streamlimit.store.sqlite import back_up

    return back_up(sqlite_path(settings), into)
