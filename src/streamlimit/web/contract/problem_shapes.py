"""Problem documents as types: what a code means, and its own members. A test compares real answers."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from streamlimit.web.contract.shapes import Count, Device, Session


class Explanation(Struct):
    """What an error code means."""

    code: str
    status: int
    title: str
    when: str
    viewer: str
    engineer: str


class Extra(Struct):
    """Members of problem documents beside the five that all have: by code, see `problems`."""


class Malformed(Extra):
    field: str | UnsetType = UNSET


class Full(Extra):
    limit: Annotated[int, Meta(ge=0)]
    live_sessions: Count
    sessions: list[Session]
    retry_after_seconds: Annotated[float, Meta(ge=0)]
    scope: Literal["stream", "device-type"] | UnsetType = UNSET
    scope_limit: int | UnsetType = UNSET


class Terminated(Extra):
    by: str
    reason: str
    at: datetime
    by_session_id: str | UnsetType = UNSET
    by_device: str | Device | UnsetType | None = UNSET


class Hammering(Extra):
    retry_after_seconds: Annotated[float, Meta(ge=0)]


EXTRAS: dict[str, type[Extra]] = {
    "malformed": Malformed,
    "session-limit": Full,
    "session-shared": Full,
    "too-many-visits": Full,
    "session-terminated": Terminated,
    "too-many-requests": Hammering,
}
"""The further members of problems, by code, beside the five that all have."""
