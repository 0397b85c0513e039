"""Blocking requests of low-latency HLS: which requests of `/play/` wait, and for what (delivery/held.py waits).

A request that waits takes no seat; one whose client leaves is dropped at once.
"""

import re
from urllib.parse import parse_qs

from streamlimit.delivery.held import HINT_TARGETS, Held, IsThere, Reload, held_seconds
from streamlimit.delivery.segment import Edge
from streamlimit.delivery.stream import Stream
from streamlimit.http.exchange import Exchange
from streamlimit.web.leaving import while_there
from streamlimit.web.problems import Problem

MARK = b"_HLS_"
"""The prefix of delivery directives in a query."""

_is_whole = re.compile(r"[0-9]{1,18}", re.ASCII).fullmatch


async def until_listed(held: Held, stream: Stream, path: str, query: bytes, exchange: Exchange) -> bool:
    """Waits until the playlist at *path* lists what the directives in *query* ask for. Returns whether it had to wait.

    Raises `malformed` where that cannot come next, and `origin-stalled` where it did not come in time.
    """
    edge = stream.edges.get(path)
    if edge is None:
        return False  # the playlist does not announce blocking reloads: the directives are ignored
    reload = _directives(query)
    if reload is None or reload.is_met(edge):
        return False
    _require_near(reload, edge)

    def is_there(now: Stream) -> bool:
        reached = now.edges.get(path)
        return reached is None or reload.is_met(reached)

    if not await _wait(held, stream.stream_id, is_there, held_seconds(edge), exchange):
        raise Problem("origin-stalled", "the playlist did not go on in time", headers={"Retry-After": "1"})
    return True


def origin_directives(query: bytes, edge: Edge) -> str:
    """The directives of *query* that are sent to the origin, which then waits; empty: there is nothing to wait for.

    Raises `malformed`.
    """
    reload = _directives(query)
    if reload is None or reload.is_met(edge):
        return ""
    _require_near(reload, edge)
    part = "" if reload.part is None else f"&_HLS_part={reload.part}"
    return f"_HLS_msn={reload.sequence}{part}"


async def until_made(held: Held, stream: Stream, path: str, exchange: Exchange) -> bool:
    """Waits until the part at *path*, if a playlist hints at it, exists or never will.

    Returns whether it had to wait.
    """
    edges = [edge for edge in stream.edges.values() if edge.hint == path]
    if not edges:
        return False

    def is_there(now: Stream) -> bool:
        return all(edge.hint != path for edge in now.edges.values())

    await _wait(held, stream.stream_id, is_there, held_seconds(edges[0], HINT_TARGETS), exchange)
    return True


def _require_near(reload: Reload, edge: Edge) -> None:
    if reload.is_too_far(edge):
        raise Problem("malformed", f"_HLS_msn is more than two beyond the playlist's last segment, {edge.sequence - 1}")


def _directives(query: bytes) -> Reload | None:
    """The directives in *query*; None: none that ask to wait (`_HLS_skip` may be passed over). Raises `malformed`."""
    found = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    sequence, part = found.get("_HLS_msn", [None])[0], found.get("_HLS_part", [None])[0]
    if sequence is None and part is None:
        return None
    for name, value in (("_HLS_msn", sequence), ("_HLS_part", part)):
        if value is not None and not _is_whole(value):
            raise Problem("malformed", f"{name} is a whole number", {"field": name})
    if sequence is None:
        raise Problem("malformed", "_HLS_part goes with _HLS_msn", {"field": "_HLS_msn"})
    return Reload(int(sequence), None if part is None else int(part))


async def _wait(held: Held, stream_id: str, is_there: IsThere, seconds: float, exchange: Exchange) -> bool:
    """Waits as `Held.wait` does. Raises `ClientLeft`."""
    async with while_there(exchange):
        found = await held.wait(stream_id, is_there, seconds)
    return found
