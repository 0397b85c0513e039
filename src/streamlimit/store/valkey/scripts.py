"""The Lua scripts: one file per call, assembled from includes, identified by their SHA-1.

A line `-- include NAME` is replaced by the text of NAME.lua, since scripts cannot share code otherwise. It is placed
where the code is first needed: the server runs a script's whole text at every call, so a script that answers before an
include does not pay for it.
"""

import re
from hashlib import sha1
from importlib.resources import files
from typing import Final

NAMES: Final = (
    "admit",
    "confirm",
    "beat",
    "prolong",
    "abandon",
    "end",
    "terminate",
    "expire",
    "set_limit",
    "forgive",
    "forget",
    "mend",
)

_INCLUDE = re.compile(r"^-- include (\w+)$", re.MULTILINE)


def source(name: str) -> str:
    """The text of one .lua file, without its includes."""
    return files("streamlimit.store.valkey").joinpath(f"{name}.lua").read_text()


def _whole(name: str) -> str:
    """The text of one .lua file with its includes, recursively."""
    return _INCLUDE.sub(lambda found: _whole(found[1]), source(name))


class Script:
    """A script: `sha` for EVALSHA, `body` for SCRIPT LOAD."""

    __slots__ = ("body", "head", "name", "sha")

    def __init__(self, name: str) -> None:
        self.name = name
        self.body = _whole(name).encode()
        self.sha = sha1(self.body).hexdigest().encode()
        self.head = b"$7\r\nEVALSHA\r\n$40\r\n" + self.sha + b"\r\n"


SCRIPTS: Final = {name: Script(name) for name in NAMES}
