"""Kinds of requests, each as Lua for wrk and as bytes. Streamlimit's are heartbeats; peers have only /beat."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from bench.load import post

SITTERS, FULL_USERS, HAMMERED, LIMIT = 1_000, 1_000, 20, 3
"""Sessions that sit; users whose seats are all taken; those of them who ask again and again; seats a user."""


@dataclass(frozen=True)
class Who:
    """The user and the session of request *n* of a load: as Lua, and in Python. *salt* is new for each load."""

    user: str
    session: str
    named: Callable[[int, int], tuple[str, str]]


WHO = {
    "sitting": Who(f'"u"..(n % {SITTERS})', '"s1"', lambda _, n: (f"u{n % SITTERS}", "s1")),
    "new": Who('salt.."-"..n', '"s1"', lambda salt, n: (f"{salt}-{n}", "s1")),
    "refused from memory": Who(f'"full"..(n % {HAMMERED})', '"s4"', lambda _, n: (f"full{n % HAMMERED}", "s4")),
    "refused first": Who(
        f'"full"..(n % {FULL_USERS})', 'salt.."-"..n', lambda salt, n: (f"full{n % FULL_USERS}", f"{salt}-{n}")
    ),
}
WHO["refused"] = WHO["refused first"]  # where there is no memory to refuse from


@dataclass(frozen=True)
class Call:
    """How something is asked for a user and a session: given Lua expressions, or words."""

    lua: Callable[[str, str], str]
    raw: Callable[[str, str], bytes]


@dataclass(frozen=True)
class Asked:
    """One kind of request. *raw*: as bytes, where latencies at half of the rate are of interest, given salt and n."""

    lua: str
    raw: Callable[[int, int], bytes] | None = None
    refuses: bool = False


def asked(call: Call, kind: str) -> Asked:
    """*call* by those of `WHO` of that name."""
    who = WHO[kind]
    return Asked(
        call.lua(who.user, who.session), lambda salt, n: call.raw(*who.named(salt, n)), kind.startswith("refused")
    )


def kinds(call: Call, *names: str) -> dict[str, Asked]:
    """Several."""
    return {name: asked(call, name) for name in names}


def seats_taken(call: Call) -> list[bytes]:
    """What fills the users who are refused afterwards."""
    return [call.raw(f"full{user}", f"s{seat}") for user, seat in product(range(FULL_USERS), range(1, LIMIT + 1))]


def _posted(path: str, body: dict[str, str]) -> bytes:
    text = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


HEARTBEAT = Call(
    lambda user, session: post(
        f'"/v1/users/"..{user}.."/sessions/"..{session}.."/heartbeat"', '\'{"stream_id":"aurora"}\''
    ),
    lambda user, session: _posted(f"/v1/users/{user}/sessions/{session}/heartbeat", {"stream_id": "aurora"}),
)
BEAT = Call(
    lambda user, session: post(
        '"/beat"', f'\'{{"user_id":"\'..{user}..\'","session_id":"\'..{session}..\'","stream_id":"aurora"}}\''
    ),
    lambda user, session: _posted("/beat", {"user_id": user, "session_id": session, "stream_id": "aurora"}),
)
SITTING, NEW = asked(HEARTBEAT, "sitting"), asked(HEARTBEAT, "new")
JSON_ONLY = Asked(asked(BEAT, "sitting").lua)
NOTHING = Asked('return wrk.format("GET", "/")')
SEGMENT = Asked(
    post(
        '"/v1/segments"',
        f'\'{{"user_id":"u\'..(n % {SITTERS})..\'","session_id":"s1","stream_id":"aurora",'
        '"segment":"video-90p/seg-00002.m4s"}\'',
    )
)
