"""The scripts: one .lua file a promise, put together from their parts, named by their SHA-1 as the server does.

A line `-- include NAME` stands for the text of NAME.lua. That is the only way to share code between scripts, and it
stands where the code is first needed: the server runs a script's whole text at every call, so
what comes before an include answers without paying for it.
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
)

_INCLUDE = re.compile(r"^-- include (\w+)$", re.MULTILINE)


def source(name: str) -> str:
    """The text of one .lua file as it lies there."""
    return files("streamlimit.store.valkey").joinpath(f"{name}.lua").read_text()


def _whole(name: str) -> str:
    """With all that it includes, and those with what they include."""
    return _INCLUDE.sub(lambda found: _whole(found[1]), source(name))


class Script:
    """A script ready to be called. `sha` is what EVALSHA wants; `body` what SCRIPT LOAD wants."""

    __slots__ = ("body", "head", "name", "sha")

    def __init__(self, name: str) -> None:
        self.name = name
        self.body = _whole(name).encode()
        self.sha = sha1(self.body).hexdigest().encode()
        self.head = b"$7\r\nEVALSHA\r\n$40\r\n" + self.sha + b"\r\n"


SCRIPTS: Final = {name: Script(name) for name in NAMES}
