"""The reading of all playlists of one stream: their listings, their problems, and the stream that they make.

Knows no folder and no origin: a reader gives access to the files (reader.py).
"""

import json

from msgspec import Struct

from streamlimit.delivery.build import build
from streamlimit.delivery.dash import manifest
from streamlimit.delivery.hls import master
from streamlimit.delivery.paths import suffix_of
from streamlimit.delivery.reader import Reader, broken
from streamlimit.delivery.segment import Listing
from streamlimit.delivery.stream import Stream
from streamlimit.errors import CatalogError


class Reading(Struct):
    """The outcome of reading a stream: its listings, the entry's first; and by playlist why others failed."""

    listings: list[Listing]
    failures: dict[str, str]

    @property
    def problem(self) -> str | None:
        """Why playlists failed, in one text that is UTF-8; None: none did."""
        return "; ".join(self.failures.values()).encode(errors="backslashreplace").decode() or None

    @property
    def missing(self) -> set[str]:
        """The missing playlists that a master names."""
        return {path for listing in self.listings for path in listing.missing}

    @property
    def is_torn(self) -> bool:
        """Does a playlist end in the middle of a line?"""
        return any(listing.is_torn for listing in self.listings)


def read_all(reader: Reader, playlists: list[str]) -> Reading:
    """The reading of *playlists*; those that another of them names are read with that one."""
    listings: list[Listing] = []
    failures: dict[str, str] = {}
    for name in playlists:
        if _named_by(name, listings):
            continue
        try:
            listings.append((manifest if suffix_of(name) == ".mpd" else master).read(reader, name))
        except CatalogError as problem:
            failures[name] = str(problem)
        except Exception as problem:  # a defect in one stream's files must not affect others
            failures[name] = str(broken(name, problem))
    # A master before the playlists that it names, HLS before DASH: sorting keeps the order otherwise.
    listings.sort(key=lambda listing: (suffix_of(listing.entry) == ".mpd", not listing.is_master))
    kept = [item for item in listings if not _named_by(item.entry, listings)]
    failures = {name: why for name, why in failures.items() if not _named_by(name, kept)}  # the master's reading counts
    for item in kept:
        failures |= item.failures
    return Reading(kept, failures)


def _named_by(name: str, listings: list[Listing]) -> bool:
    """Does a master name the playlist?"""
    return any(name in listing.files and name != listing.entry for listing in listings)


def build_from(reader: Reader, stream_id: str, listings: list[Listing], previous: Stream | None) -> Stream | None:
    """The stream that *listings* are, after its version *previous*; None: there are none."""
    if not listings:
        return None
    title = stream_id
    if reader.has("stream.json"):
        try:
            title = reader.parsed("stream.json", "", lambda text, _: _title(text)) or title
        except CatalogError as problem:
            listings[0].notes.append(f"stream.json: {problem}")
    return build(stream_id, title, listings, previous)


def _title(text: str) -> str:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise CatalogError(f"is no JSON: {problem}") from None
    title = found.get("title") if isinstance(found, dict) else None
    return title[:200] if isinstance(title, str) else ""
