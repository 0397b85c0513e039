"""Viewers' parsed requests as values: a segment of Endpoint 1, a file of `/play`."""

import math
from collections.abc import Callable
from urllib.parse import unquote

from msgspec import Struct

from streamlimit.delivery.segment import LiveEdge, Segment
from streamlimit.delivery.stream import Stream
from streamlimit.errors import UnknownStream
from streamlimit.limiter import LeaseHolder
from streamlimit.model import Ask
from streamlimit.web.entries import Entry
from streamlimit.web.headers import spelled
from streamlimit.web.requested import Requested
from streamlimit.web.service import Service


class Elsewhere(Exception):
    """Raised for a file that another server delivers (`deliver`)."""


class Issue(Struct, frozen=True):
    """One `POST /v1/segments`: the segment that it names, or the next one (None)."""

    ask: Ask
    stream: Stream
    named: Segment | None


class Playback(Struct, frozen=True):
    """One `GET /play/…`."""

    ask: Ask
    requested: Requested


Wanted = Issue | Playback | Entry


def as_spelled(stream: Stream, text: str) -> Segment | None:
    """The segment whose name the header `Streamlimit-Segment` spells so."""
    found = stream.find(unquote(text)) if "%" in text else None
    return found if found is not None and spelled(found.name) == text else None


def next_of(stream: Stream, holder: LeaseHolder) -> Segment | LiveEdge | None:
    """The segment after the last that this session received of this stream; the first after a move."""
    session = holder.admitted.session
    is_here = session is not None and session.stream_id == stream.stream_id  # none: let through by a dry run
    return stream.after(session.sequence if session is not None and is_here else None)


def nothing(edge: LiveEdge | None) -> dict[str, str]:
    """The headers of a 204: the stream has ended, or its live edge is reached."""
    if edge is None:
        return {"Streamlimit-End": "true"}
    return {"Retry-After": str(max(math.ceil(edge.wait_ms / 1_000), 1))}


def streams_here(service: Service) -> Callable[[str], Stream]:
    """The look-up of the streams that are played here, which raises `UnknownStream`: always, where none are set."""
    if service.catalog is not None:
        return service.catalog.stream
    return _nowhere if service.origin is None else service.origin.stream


def _nowhere(_stream_id: str) -> Stream:
    raise UnknownStream("no streams are set here")
