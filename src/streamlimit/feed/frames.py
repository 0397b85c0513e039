"""Frames of server-sent events, made once for all listeners."""

from typing import Any

import msgspec
from msgspec import Struct

from streamlimit.document import event_json
from streamlimit.store.feed import Entry, Place

_encode = msgspec.json.Encoder().encode


class Filters(Struct, frozen=True):
    """The filters of a listener; None: all events."""

    types: frozenset[str] | None = None
    user_id: str | None = None
    stream_id: str | None = None


class Frame(Struct, frozen=True, gc=False):
    """One event as server-sent text, with the fields that filters use."""

    place: Place
    type: str
    user_id: str
    stream_id: str
    text: bytes

    def fits(self, wanted: Filters) -> bool:
        """Does the event pass the filters?"""
        return (
            (wanted.types is None or self.type in wanted.types)
            and wanted.user_id in (None, self.user_id)
            and wanted.stream_id in (None, self.stream_id)
        )


def frame(entry: Entry) -> Frame:
    """The frame of an entry of the feed, with its place as the event's id."""
    event, session = entry.event, entry.event.session
    text = id_line(entry.place) + remark(event.type, event_json(event))
    return Frame(entry.place, event.type, session.user_id, session.stream_id, text)


def remark(name: str, data: dict[str, Any]) -> bytes:
    """A frame about the stream itself (a gap, an outage, its end), without an id."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode(data))


def mark(place: Place | None) -> bytes:
    """A comment, which keeps the connection alive, and the listener's place, whatever its filters leave out."""
    return b": still here\n" + (b"" if place is None else id_line(place)) + b"\n"


def id_line(place: Place) -> bytes:
    """The id line of a place, which a client returns as `Last-Event-ID`."""
    return b"id: %b\n" % write_place(place).encode()


def write_place(place: Place) -> str:
    """*place* as text; the second number is left out where it is 0."""
    return f"{place[0]}-{place[1]}" if place[1] else str(place[0])


def read_place(text: str) -> Place:
    """The place in *text*, the inverse of `write_place`. Raises ValueError."""
    first, dash, second = text.partition("-")
    numbers = (first, second) if dash else (first,)
    if not all(number.isascii() and number.isdigit() and len(number) <= 20 for number in numbers):
        raise ValueError("give the id of an event of this stream")
    return int(first), int(second or 0)
