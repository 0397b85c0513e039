"""Plays: the players of one session. A play follows the grant in a URL: `<grant>~<play>`.

A play's id is a number of 63 bits, the microseconds at which it was made before random ones, written in hexadecimal:
a newer play is the larger number. A play gives no rights; the grant does.
"""

import re
import secrets
import time

MARK = "~"
"""The separator of grant and play, which occurs in no grant."""

RANDOM_BITS = 11
"""Random bits of a play: what 63 bits leave beside the time, until 2112."""
AHEAD_US = 60_000_000
"""The furthest future time of a play, in µs: one made up later would be the newest for ever."""

_ID = re.compile(r"[0-9a-f]{1,16}")


class BadPlay(ValueError):
    """The text behind the separator is not a play."""


def new_play(now_us: int | None = None) -> int:
    """The id of a play that begins now."""
    made_us = time.time_ns() // 1_000 if now_us is None else now_us
    return (made_us << RANDOM_BITS) | secrets.randbits(RANDOM_BITS)


def with_play(grant: str, play: int) -> str:
    """The part of a URL that holds the grant and its play."""
    return f"{grant}{MARK}{play:x}"


def split_play(text: str, now_us: int | None = None) -> tuple[str, int]:
    """The grant and its play, 0 where none follows. Raises `BadPlay`."""
    grant, mark, written = text.partition(MARK)
    if not mark:
        return text, 0
    if _ID.fullmatch(written) is None:
        raise BadPlay("what follows the grant is no play")
    play = int(written, 16)
    latest_us = (time.time_ns() // 1_000 if now_us is None else now_us) + AHEAD_US
    if not play or play >> RANDOM_BITS > latest_us:
        raise BadPlay("what follows the grant is no play that was handed out")
    return grant, play
