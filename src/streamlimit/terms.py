"""The terms of a user's own limit (end and note), checked and converted to a duration. Reads no clock."""

import re
from datetime import UTC, datetime, timedelta

from streamlimit.model import Terms

NOTE_CHARACTERS = 200
LAST_MS = 253_402_300_799_999
"""The end of the year 9999 (ms of the epoch), the last that RFC 3339 can express."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
has_control_character = re.compile(r"[\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]").search


class BadTerms(ValueError):
    """A wrong `field`: the text says why, in words that continue its name."""

    def __init__(self, field: str, wrong: str) -> None:
        super().__init__(f"{field}: {wrong}")
        self.field, self.wrong = field, wrong


def terms_of(until: datetime | None, note: str, wall_ms: int) -> Terms:
    """The terms at *wall_ms* by the wall clock. *until* has a time zone. Raises `BadTerms`."""
    if len(note) > NOTE_CHARACTERS:
        raise BadTerms("note", f"has more than {NOTE_CHARACTERS} characters")
    if has_control_character(note):
        raise BadTerms("note", "holds a control character")
    if until is None:
        return Terms(note=note)
    until_ms = (until - _EPOCH) // timedelta(milliseconds=1)
    if until_ms <= wall_ms:
        raise BadTerms("until", "is in the past")
    if until_ms > LAST_MS:
        raise BadTerms("until", "is after the year 9999, by UTC")
    return Terms(until_ms - wall_ms, until_ms, note)
