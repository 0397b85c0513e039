"""CMCD reports of players (CTA-5004, -A, -B): one a line, each a dictionary of structured fields.

Only the keys about playing are used; of all others only the syntax is checked.
"""

import re
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from streamlimit.web.forms import require_id
from streamlimit.web.problems import Problem

NEWEST = 2
"""The newest version that is read; reports of later ones are ignored."""
MAX_SID, MAX_CID = 64, 128
ENDS, PAUSES, WAITS = frozenset("eqf"), frozenset("a"), frozenset("kw")
"""Player states: ended, quit, fatal; paused; seeking, waiting (dash.js sends these once more after its end)."""

_BARE = r"[^\s,;()\"]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_STRING = "%?" + _QUOTED
_PARAMETERS = rf"(?:;\s*[^\s,;=()\"]+(?:=(?:{_STRING}|{_BARE}))?)*"
_INNER = rf'\((?:[^()"]|{_QUOTED})*\)'  # each text is read in one way: in two, the tries would double with each string
_member = re.compile(
    rf"[ \t]*(?P<key>[A-Za-z*][\w.*-]*)(?:=(?P<value>{_STRING}|{_INNER}|{_BARE}))?{_PARAMETERS}"
    r"[ \t]*(?:,(?=[^,\s]|[ \t])|$)"
)


class Says(Enum):
    """The meaning of a report for its play."""

    PLAYS = "plays"
    PAUSES = "pauses"
    WAITS = "waits"
    ENDS = "ends"


class Report(Struct, frozen=True):
    """A report about a play. `cid`: the content id, if there is one. `is_last`: of a batch that has others of it."""

    says: Says
    cid: str | None = None
    is_last: bool = False


def reports_in(body: bytes) -> list[Report]:
    """The effective reports of a batch, in order: its end alone, or playing, waiting, pausing, or playing then pausing.

    The end of a content that the player has left for another one, which a report before it names, is no end. Raises
    `malformed`: no report counts where one is wrong.
    """
    reports: list[Report] = []
    for report in _reports_in(body):
        if report.says is Says.WAITS and reports:
            continue  # after an end or a pause it is neither's end
        if report.says is Says.ENDS and reports:
            if _is_of_another(report, reports[-1]):
                continue
            report = replace(report, is_last=True)
        if report.says is Says.PAUSES:
            reports = [each for each in reports if each.says is not Says.PAUSES] + [report]
        else:
            reports = [report]
    return reports[:1] if reports and reports[0].says is Says.ENDS else reports


def _is_of_another(end: Report, before: Report) -> bool:
    """Is *end* of another content than the one that plays by the report *before*?"""
    return before.says is not Says.ENDS and None not in (end.cid, before.cid) and end.cid != before.cid


def _reports_in(body: bytes) -> list[Report]:
    try:
        lines = [line for line in body.decode().replace("\r\n", "\n").split("\n") if line.strip()]
    except UnicodeDecodeError as error:
        raise _malformed("it is not UTF-8") from error
    if not lines:
        raise _malformed("there is none")
    read = [_report_of(_members(line)) for line in lines]
    return [report for report in read if report is not None]


def _members(line: str) -> dict[str, str]:
    """The keys and raw values of a line; a key without a value is true."""
    found: dict[str, str] = {}
    at = 0
    while at < len(line):
        member = _member.match(line, at)
        if member is None:
            raise _malformed("it is no list of key=value")
        found[member["key"]] = "?1" if member["value"] is None else member["value"]
        at = member.end()
    return found


def _report_of(said: dict[str, str]) -> Report | None:
    """The report in the keys *said*; None where they do not state whether the player plays."""
    if _whole(said, "v", 1) > NEWEST:
        return None
    _whole(said, "ts", 0)
    _text(said, "sid", MAX_SID)
    cid, event, state = _text(said, "cid", MAX_CID), _word(said, "e"), _word(said, "sta")
    if cid is not None:
        require_id("cid", cid)
    if event is None and (("v" in said and said["v"] != "1") or "sid" not in said):
        raise _malformed("e: is missing")
    if event == "ps" and state is None:
        raise _malformed("sta: is missing, though the player's state is what is reported")
    if state in ENDS:
        return Report(Says.ENDS, cid)
    if event not in ("t", "ps", None):
        return None
    if state in PAUSES:
        return Report(Says.PAUSES, cid)
    return Report(Says.WAITS if state in WAITS else Says.PLAYS, cid)


def _whole(said: dict[str, str], key: str, otherwise: int) -> int:
    value = said.get(key, str(otherwise))
    if not re.fullmatch(r"[0-9]{1,15}", value):
        raise _malformed(f"{key}: is no whole number")
    return int(value)


def _word(said: dict[str, str], key: str) -> str | None:
    """The value of *key* as a token, which some players send as a string."""
    value = said.get(key)
    if value is None:
        return None
    word = value[1:-1] if value.startswith('"') else value
    if not re.fullmatch(r"[A-Za-z*][\w.:/*-]*", word):
        raise _malformed(f"{key}: is no token")
    return word


def _text(said: dict[str, str], key: str, at_most: int) -> str | None:
    value = said.get(key)
    if value is None:
        return None
    if not value.startswith('"'):
        raise _malformed(f"{key}: is no string")
    text = re.sub(r"\\(.)", r"\1", value[1:-1])
    if not 0 < len(text) <= at_most:
        raise _malformed(f"{key}: has 1 to {at_most} characters")
    return text


def _malformed(words: str) -> Problem:
    field = words.partition(":")[0] if ": " in words else None
    return Problem("malformed", f"the CMCD report: {words}", {} if field is None else {"field": field})
