"""The `Range` header (RFC 9110, section 14): one range of bytes; all others are ignored."""

import re

from streamlimit.web.problems import Problem

_ONE_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.IGNORECASE)


def requested_range(header: str | None, if_range: str | None, size: int, etag: str) -> tuple[int, int] | None:
    """First and last byte asked for, or None for the whole file (also for several ranges at once).

    Raises 416 where the file has no byte of it.
    """
    match = _ONE_RANGE.fullmatch(header.replace(" ", "")) if header else None
    if match is None or match[0].endswith("=-") or if_range not in (None, etag):
        return None
    start, end = match[1], match[2]
    if not start:
        first, last = max(size - int(end), 0), size - 1
    else:
        first, last = int(start), min(int(end), size - 1) if end else size - 1
        if end and int(end) < int(start):
            return None  # not a valid range: as if it were not there
    if first > last or not size:
        raise Problem(
            "range-not-satisfiable",
            f"the file has {size} bytes",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return first, last
