"""Settings from streamlimit.toml, STREAMLIMIT_… variables and flags, as typed, checked values. Reads nothing else.

`table.py` lists the settings, `jwt.py`, `cdn.py`, `adobe.py` and `callback.py` the nested tables; `kinds.py` and
`keys.py` check single values; `sources.py` reads the sources, `load.py` combines them and explains errors. Each setting
is explained for operators in deploy/streamlimit.toml.
"""

from streamlimit.settings.adobe import AdobeSettings
from streamlimit.settings.callback import EVENT_TYPES, Callback
from streamlimit.settings.cdn import CdnSettings
from streamlimit.settings.jwt import JwtSettings
from streamlimit.settings.keys import OperatorKey, key_hash, wrong_with_name
from streamlimit.settings.kinds import LOOPBACK
from streamlimit.settings.load import load_again, load_settings, notes_on_variables, unknown_variables
from streamlimit.settings.table import Settings

__all__ = [
    "EVENT_TYPES",
    "LOOPBACK",
    "AdobeSettings",
    "Callback",
    "CdnSettings",
    "JwtSettings",
    "OperatorKey",
    "Settings",
    "key_hash",
    "load_again",
    "load_settings",
    "notes_on_variables",
    "unknown_variables",
    "wrong_with_name",
]
