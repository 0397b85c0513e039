"""Types of settings' values: their checks, with messages for wrong ones."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from streamlimit.policy import Reclaim

LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[?::1\]?")
MAX_SOCKET_PATH = 107
LONGEST_SECONDS = 45 * 86_400
"""The longest that a seat may last without a receipt, and a reservation: with what is added to it (`buffer_seconds`,
`paused_seconds`), its milliseconds are four bytes in the cache and in Valkey."""
_PRINTABLE = re.compile(r"[!-~]+")
STORE_URL = re.compile(r"sqlite:///.|(valkeys?|rediss?)(\+cluster|\+sentinel)?://.")


def _is_address(value: str) -> str:
    if "/" not in value and not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]\s]+):\d{1,5}", value):
        raise ValueError("give host:port, [ipv6]:port, or the path of a Unix socket (with a slash)")
    if "/" not in value and int(value.rsplit(":", 1)[1]) > 65_535:
        raise ValueError("a port is at most 65535")
    return value


def is_loopback(address: str) -> bool:
    """Is *address* reached by this machine only?"""
    return "/" in address or LOOPBACK.fullmatch(address.rsplit(":", 1)[0]) is not None


def _is_store(value: str) -> str:
    if not STORE_URL.match(value):
        raise ValueError("give sqlite:///file, valkey://…, valkey+cluster://… or valkey+sentinel://…")
    return value


def is_origin(value: str) -> bool:
    """Is *value* a URL, not a folder?"""
    return "://" in value


def _is_origin(value: str) -> str:
    found = _plain_url(value, "give a folder, or the http:// or https:// URL that streams are below")
    if ".." in found.path.split("/") or "\\" in value:
        raise ValueError("the path of streams goes down only")
    return value


def _plain_url(value: str, wanted: str) -> SplitResult:
    """The parts of a URL of a host and a path. Raises `ValueError`; *wanted*: the words for what is no such URL."""
    found = urlsplit(value)
    if found.scheme not in ("http", "https") or not found.hostname:
        raise ValueError(wanted)
    if found.query or found.fragment or found.username is not None or not _PRINTABLE.fullmatch(value):
        raise ValueError("it is a host and a path: without a user, a password, or a query")
    require_port(value)
    return found


def _is_place_of_streams(value: str) -> str:
    return _is_origin(value) if is_origin(value) else _is_folder(value)


def _is_folder(value: str) -> str:
    if not (value and Path(value).is_dir()):
        raise ValueError(f"there is no folder {value!r}")
    return value


def require_port(url: str) -> None:
    """Raises `ValueError` where the URL has an impossible port."""
    if urlsplit(url).port == 0:  # `port` itself says what is wrong with others
        raise ValueError("there is no port 0")


def _is_public_url(value: str) -> str:
    _plain_url(value, "give http://host or https://host, with a path if an edge adds one")
    return value.rstrip("/")


def _is_accel_prefix(value: str) -> str:
    if not re.fullmatch(r"/[!-~]*/", value) or "//" in value or set(value) & set("?#%\\"):
        raise ValueError("give the path of an internal location, with a slash at both ends")
    return value


def _is_edge_log(value: str) -> str:
    path = value.removeprefix("unix:")
    if path != value and "/" in path and len(path.encode()) <= MAX_SOCKET_PATH:
        return value
    if re.fullmatch(r"file:/[^\x00]+", value):
        return value
    if not re.fullmatch(r"udp://(\[[0-9a-fA-F:.]+\]|[^:\[\]/\s]+):\d{1,5}", value):
        raise ValueError("give unix:/path of a socket (at most 107 bytes), udp://host:port, or file:/path")
    require_port(value)
    return value


def _is_proxy(value: str) -> str:
    if value != "unix":
        try:
            ip_network(value)
        except ValueError as error:
            raise ValueError(f"{error}; give addresses, networks, or unix") from error
    return value


def _is_takeover(value: object) -> object:
    """The value for a boolean of earlier releases; others unchanged."""
    word = str(value).lower()
    if word in ("true", "1", "yes", "on"):
        return Reclaim.SILENT
    return Reclaim.NEVER if word in ("false", "0", "no", "off") else value


def require_no_boolean(value: object) -> object:
    """*value*, if it is no boolean: `true` would count as the number 1. Raises `ValueError`."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is no value of it")
    return value


Address = Annotated[str, AfterValidator(_is_address)]
StoreUrl = Annotated[str, AfterValidator(_is_store)]
AccelPrefix = Annotated[str, AfterValidator(_is_accel_prefix)]
EdgeLog = Annotated[str, AfterValidator(_is_edge_log)]
PublicUrl = Annotated[str, AfterValidator(_is_public_url)]
StreamsPlace = Annotated[str, AfterValidator(_is_place_of_streams)]
Proxy = Annotated[str, AfterValidator(_is_proxy)]
Outage = Literal["keep-known", "admit-all", "refuse-all"]
Takeover = Annotated[Reclaim, BeforeValidator(_is_takeover)]
Seats = Annotated[int, Field(ge=1, le=64), BeforeValidator(require_no_boolean)]
Seconds = Annotated[float, Field(gt=0, le=86_400 * 365)]
Lasting = Annotated[float, Field(gt=0, le=LONGEST_SECONDS)]
