"""Keys that somebody or a disk has broken: it costs their user alone, who begins anew, and is logged once."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from valkey import Valkey

from streamlimit.model import Admitted, Ask, Confirmed, Decision, Event, Purpose, Receipt, Terms
from streamlimit.store.valkey import ValkeyStore
from streamlimit.store.valkey.keys import SLOTS, Keys, shard_of
from tests import servers
from tests.store.store_driver import ALL_TYPES, QUICK, ManualClock, N, X, all_limits, sweep_all

ClientOf = Callable[[str], Valkey]
"""The server that holds that user's keys."""

USERS = ("ann", "ben", "eve")
ENDED = b"\x00" * 6
SEAT_OF_NOBODY = b"\xff\xff" + ENDED + b"\x01\x00\x00"
"""A ledger that says that a seat follows."""
BROKEN = {
    "empty": b"",
    "short": b"\xff",
    "text": b"something else altogether",
    "cut": SEAT_OF_NOBODY,
    "half": SEAT_OF_NOBODY + b"\x0a\x00\x01a" + b"\x01" * 6,
    "seat": SEAT_OF_NOBODY + b"\x12\x00\x01a" + b"\x01" * 14,
    "mark": b"\xff\xff" + ENDED + b"\x00\x00\x01" + b"\x05\x00\x01ab",
}
broken = pytest.mark.parametrize("value", BROKEN.values(), ids=BROKEN)


class Home:
    """A store whose keys a test breaks."""

    def __init__(self, url: str, client_of: ClientOf, told: frozenset[str] = frozenset()) -> None:
        self.clock, prefix = ManualClock(), f"test-{uuid4().hex[:8]}"
        self.store = ValkeyStore(url, QUICK, told, self.clock, prefix, timeout=5)
        self._client_of, self._keys = client_of, Keys(prefix)

    def shatter(self, user: str, value: bytes) -> None:
        self._client_of(user).set(self.key(user), value)

    def key(self, user: str) -> bytes:
        return self._keys.ledger(shard_of(user), user.encode())

    def other_key(self, user: str, *parts: str) -> bytes:
        return self._keys.of(shard_of(user), *parts)

    def client(self, user: str) -> Valkey:
        return self._client_of(user)

    async def watch(self, user: str, session: str = "tv") -> Receipt:
        decision = await self.store.admit(Ask(user, session, "news", lease_id=f"of-{session}"))
        assert isinstance(decision, Admitted)
        assert decision.lease is not None
        receipt = Receipt(decision.lease, "s-1", 1)
        assert isinstance(await self.store.confirm(receipt), Confirmed)
        return receipt

    async def listed(self) -> list[str]:
        found, cursor, more = list[str](), None, True
        while more:
            page = await self.store.browse(cursor, 100, None, None, None)
            found += [session.user_id for session in page.sessions]
            cursor, more = page.cursor, page.cursor is not None
        return sorted(found)


@pytest.fixture(params=["single", "cluster"])
def place(request: pytest.FixtureRequest) -> tuple[str, ClientOf]:
    if request.param == "single":
        url = request.getfixturevalue("valkey_url")
        client = Valkey.from_url(url)
        return url, lambda user: client
    cluster: servers.Cluster = request.getfixturevalue("valkey_cluster")
    return cluster.url, lambda user: cluster.owner(SLOTS[shard_of(user)]).client


@pytest.fixture(params=[frozenset(), ALL_TYPES], ids=["untold", "told"])
def home(request: pytest.FixtureRequest, place: tuple[str, ClientOf]) -> Home:
    return Home(*place, request.param)


def users_of(events: list[Event]) -> list[str]:
    return sorted(event.session.user_id for event in events)


def said(caplog: pytest.LogCaptureFixture, event: str) -> int:
    return caplog.text.count(event)


@broken
async def test_a_sweep_and_a_listing_go_on(value: bytes, home: Home, caplog: pytest.LogCaptureFixture) -> None:
    for user in USERS:
        await home.watch(user)
    home.shatter("ben", value)
    assert await home.listed() == ["ann", "eve"]
    assert (await home.store.sessions("ben")).sessions == ()
    home.clock.now_ms += N * X
    assert users_of(await sweep_all(home.store)) == ["ann", "eve"]
    assert said(caplog, "_unreadable") == 1
    assert not home.client("ben").exists(home.key("ben"))
    assert await sweep_all(home.store) == []
    await home.watch("ben")
    assert await home.listed() == ["ben"]
    home.clock.now_ms += N * X
    assert users_of(await sweep_all(home.store)) == ["ben"]
    await home.store.close()


@pytest.mark.parametrize("values", [("short", "text", "half", "seat"), ("half",) * 4], ids=["all", "half"])
async def test_of_one_sweep_all_others_are_told_though_many_are_broken(
    values: tuple[str, ...], place: tuple[str, ClientOf], caplog: pytest.LogCaptureFixture
) -> None:
    """Thirty-two users of one shard are one call of the script, which has to be called again."""
    home, shard = Home(*place, ALL_TYPES), shard_of("ann")
    users = [user for user in map("u-{}".format, range(40_000)) if shard_of(user) == shard][:24]
    for user in users:
        await home.watch(user)
    for name, user in zip(values, users[5::6], strict=True):
        home.shatter(user, BROKEN[name])
    home.clock.now_ms += N * X
    rest = sorted({*users} - {*users[5::6]})
    assert users_of(await sweep_all(home.store)) == rest
    assert said(caplog, "_unreadable") == len(values)
    assert await home.store.pending() == len(users) + len(rest), "begun, and expired"
    await home.store.close()


async def admit(home: Home, receipt: Receipt) -> Decision:
    return await home.store.admit(Ask("ben", "phone", "film"))


async def beat(home: Home, receipt: Receipt) -> Decision:
    return await home.store.beat(Ask("ben", "tv", "news"))


async def confirm(home: Home, receipt: Receipt) -> Any:
    return await home.store.confirm(receipt)


async def leave(home: Home, receipt: Receipt) -> Any:
    """Whatever has nothing to do any more."""
    assert await home.store.end("ben", "tv") == ()
    assert await home.store.terminate("ben", None, "ops", "") == ()
    assert await home.store.abandon(receipt.lease) == ()
    assert await home.store.prolong(receipt.lease) is not None
    return await home.store.admit(Ask("ben", "phone", "film"))


@pytest.mark.parametrize("value", [value for name, value in BROKEN.items() if name not in ("seat", "mark")])
@pytest.mark.parametrize("first", [admit, beat, confirm, leave])
async def test_the_user_begins_anew(
    first: Callable[[Home, Receipt], Any], value: bytes, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    for user in USERS:
        receipt = await home.watch(user)
    await home.store.set_limit("ben", 1, Terms(note="one"))
    receipt = await home.watch("ben")
    home.shatter("ben", value)
    assert isinstance(await first(home, receipt), Admitted | Confirmed)
    assert said(caplog, "ledger_unreadable") == 1
    assert len((await home.store.sessions("ben")).sessions) == 1
    assert not isinstance(await home.store.admit(Ask("ben", "pad", "film")), Admitted), "the limit of their own is kept"
    assert [(own.user_id, own.terms.note) for own in await all_limits(home.store)] == [("ben", "one")]
    assert said(caplog, "ledger_unreadable") == 1
    await home.store.close()


@pytest.mark.parametrize("lasts_ms", [5 * X, 1])
async def test_a_limit_that_ends_goes_on_to_end(lasts_ms: int, home: Home) -> None:
    await home.store.set_limit("ben", 1, Terms(lasts_ms))
    home.clock.now_ms += 1
    home.shatter("ben", b"?")
    await home.watch("ben")
    assert isinstance(await home.store.admit(Ask("ben", "phone", "film")), Admitted) is (lasts_ms == 1)
    home.clock.now_ms += lasts_ms
    assert isinstance(await home.store.admit(Ask("ben", "phone", "film")), Admitted)
    assert await all_limits(home.store) == []
    await home.store.close()


async def test_a_key_of_another_kind_is_replaced(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    await home.watch("ann")
    client = home.client("ben")
    client.rpush(home.key("ben"), "by hand")
    client.zadd(home.other_key("ben", "due"), {"ben": home.clock.now_ms})
    assert await home.listed() == ["ann"]
    home.clock.now_ms += N * X
    assert users_of(await sweep_all(home.store)) == ["ann"]
    await home.watch("ben")
    assert said(caplog, "ledger_unreadable") == 1
    await home.store.close()


async def test_what_the_scripts_read_and_python_does_not_costs_its_user_alone(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """A byte of a name that is no text any more."""
    for user in USERS:
        await home.watch(user)
    kept = home.client("ben").get(home.key("ben"))
    assert isinstance(kept, bytes)
    home.shatter("ben", kept.replace(b"news", b"new\xff"))
    assert await home.listed() == ["ann", "eve"]
    home.clock.now_ms += N * X
    assert users_of(await sweep_all(home.store)) == ["ann", "eve"]
    assert said(caplog, "events_unreadable") == 1
    await home.watch("ben")
    assert await home.listed() == ["ben"]
    await home.store.close()


@pytest.mark.parametrize("value", [b"", b"short", b"\x00" * 13, b"\x03" + b"\x00" * 13 + b"\xff"])
async def test_a_listing_of_limits_goes_on(value: bytes, home: Home) -> None:
    for user in USERS:
        await home.store.set_limit(user, 3)
    home.client("ben").hset(home.other_key("ben", "limits"), "ben", value)
    found = {own.user_id: own.max_sessions for own in await all_limits(home.store)}
    assert found == {"ann": 3, "eve": 3} | ({"ben": 3} if len(value) > 13 else {})
    assert (await home.store.own_limit("ben") is None) is (len(value) < 14)
    await home.store.close()


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x00" * 12 + b"\x05ab"])
async def test_of_grants_that_cannot_be_told_apart_none_starts_a_session(
    value: bytes, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """Some of them were ended. Who holds a seat keeps it, and a new grant works."""
    seat = await home.store.admit(Ask("ben", "tv", "news", purpose=Purpose.SEAT))
    assert isinstance(seat, Admitted)
    assert seat.lease is not None
    home.client("ben").set(home.other_key("ben", "grants", "ben"), value)
    home.clock.now_ms += 1
    old = seat.lease.generation
    assert isinstance(await home.store.admit(Ask("ben", "tv", "news", grant_generation=old)), Admitted)
    refused = await home.store.admit(Ask("ben", "phone", "news", grant_generation=old))
    assert not isinstance(refused, Admitted)
    assert refused.code == "grant-ended"
    assert said(caplog, "grants_unreadable") == 1
    assert said(caplog, "ledger_unreadable") == 0
    new = await home.store.admit(Ask("ben", "phone", "news", purpose=Purpose.SEAT))
    assert isinstance(new, Admitted)
    assert new.lease is not None
    await home.store.end("ben", "phone", keep_grant=True)
    again = await home.store.admit(Ask("ben", "phone", "news", grant_generation=new.lease.generation))
    assert isinstance(again, Admitted)
    await home.store.close()
