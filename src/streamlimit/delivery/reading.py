"""All playlists of one stream read together: what they say, what is wrong with them, what stream they make.

Knows no folder and no origin: a reader has the files (reader.py).
"""

import json

from msgspec import Struct

from streamlimit.delivery import dash, hls
from streamlimit.delivery.paths import suffix_of
from streamlimit.delivery.reader import Reader, broken
from streamlimit.delivery.segment import Listing
from streamlimit.delivery.stream import Stream, build
from streamlimit.errors import CatalogError


class Reading(Struct):
    """The outcome of reading a stream: what could be read, its entry first; playlist -> why the rest could not."""

    listings: list[Listing]
    failures: dict[str, str]

    @property
    def problem(self) -> str | None:
        return "; ".join(self.failures.values()).encode(errors="backslashreplace").decode() or None

    @property
    def missing(self) -> set[str]:
        """Playlists that a master names and that are not there."""
        return {path for listing in self.listings for path in listing.missing}

    @property
    def is_torn(self) -> bool:
        """Does one of them end in the middle of a line?"""
        return any(listing.is_torn for listing in self.listings)


def read_all(reader: Reader, playlists: list[str]) -> Reading:
    """All *playlists*; those that another of them names are read with that one."""
    listings: list[Listing] = []
    failures: dict[str, str] = {}
    for name in playlists:
        if _named_by(name, listings):
            continue
        try:
            listings.append((dash if suffix_of(name) == ".mpd" else hls).read(reader, name))
        except CatalogError as problem:
            failures[name] = str(problem)
        except Exception as problem:  # whatever one stream's files do to us, the others go on
            failures[name] = str(broken(name, problem))
    # A master before the playlists that it names, HLS before DASH: sorting keeps the order otherwise.
    listings.sort(key=lambda listing: (suffix_of(listing.entry) == ".mpd", not listing.is_master))
    kept = [item for item in listings if not _named_by(item.entry, listings)]
    failures = {name: why for name, why in failures.items() if not _named_by(name, kept)}  # the master's reading counts
    for item in kept:
        failures |= item.failures
    return Reading(kept, failures)


def _named_by(name: str, listings: list[Listing]) -> bool:
    """Is the playlist one of a master's?"""
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
