"""Plays: which player of a session asks. A play stands behind the grant in a URL, `<grant>~<play>`.

A play's id is a number of 64 bits, the milliseconds at which it was made before random ones, written in hexadecimal:
a newer play is the larger number. It is a name, not a right: the grant is what opens.
"""

import re
import secrets
import time

MARK = "~"
"""Occurs in no grant."""

RANDOM_BITS = 20
AHEAD_MS = 60_000
"""A play made later than that from now was made up: it would be the newest for ever."""

_ID = re.compile(r"[0-9a-f]{1,16}")


class BadPlay(ValueError):
    """The text behind the mark is no play."""


def new_play(now_ms: int | None = None) -> int:
    """The id of a play that begins now."""
    made_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return (made_ms << RANDOM_BITS) | secrets.randbits(RANDOM_BITS)


def with_play(grant: str, play: int) -> str:
    """The part of a URL that holds the grant and its play."""
    return f"{grant}{MARK}{play:x}"


def split_play(text: str, now_ms: int | None = None) -> tuple[str, int]:
    """The grant and its play, 0 where none follows. Raises `BadPlay`."""
    grant, mark, written = text.partition(MARK)
    if not mark:
        return text, 0
    if _ID.fullmatch(written) is None:
        raise BadPlay("what follows the grant is no play")
    play = int(written, 16)
    latest_ms = (time.time_ns() // 1_000_000 if now_ms is None else now_ms) + AHEAD_MS
    if not play or play >> RANDOM_BITS > latest_ms:
        raise BadPlay("what follows the grant is no play that was handed out")
    return grant, play
