"""The store on Valkey and Redis: each call is one Lua script on the user's shard, which the server runs atomically.

Any number of workers on any number of machines. Answers are `Deferred`: hot calls need no task, and the calls of one
iteration of the event loop are sent together. Each is safe to repeat.
"""

from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from typing import Any
from zlib import crc32

from streamlimit.errors import StoreUnavailable
from streamlimit.model import (
    FOR_GOOD,
    Admitted,
    Ask,
    Decision,
    Event,
    Gone,
    Lease,
    LimitPage,
    OwnLimit,
    Page,
    Receipt,
    Roster,
    Swept,
    Terms,
    Verdict,
)
from streamlimit.policy import OUTBOX_MAX_EVENTS, Policy
from streamlimit.rules.beat import beaten, unnamed
from streamlimit.store.contract import Clock, Events, OnVerdict
from streamlimit.store.deferred import Deferred, all_of
from streamlimit.store.rule_store import matching
from streamlimit.store.valkey import walks
from streamlimit.store.valkey.answers import Answers, Expired
from streamlimit.store.valkey.codec import pack_policy
from streamlimit.store.valkey.connection import bulk
from streamlimit.store.valkey.keys import SHARDS, room_of_outbox, shard_of
from streamlimit.store.valkey.messages import (
    Messages,
    again_message,
    end_message,
    forget_message,
    forgive_message,
    lease_message,
    limit_message,
    terminate_message,
)
from streamlimit.store.valkey.scripts import SCRIPTS
from streamlimit.store.valkey.servers import Servers, evalsha

ANSWER_SECONDS = 0.25
"""How long an answer may take before the caller gets `StoreUnavailable`."""

READY_MS = 60_000
"""The time to live of the key that `ping` writes."""


class ValkeyStore:
    """A `Store` on the servers at *url* (location.py). *subscribed* are the event types that go into the outbox.

    Connects at the first call. *clock* (tests only) replaces the servers' own; *timeout* is in seconds;
    *outbox_max_events*: the capacity of an endpoint's queues (for that of outboxes see room_of_outbox). Raises
    `SettingsError` for a wrong URL.
    """

    def __init__(
        self,
        url: str,
        policy: Policy,
        subscribed: frozenset[str] = frozenset(),
        clock: Clock | None = None,
        prefix: str = "streamlimit",
        timeout: float = ANSWER_SECONDS,
        outbox_max_events: int = OUTBOX_MAX_EVENTS,
    ) -> None:
        self._policy, self._clock = policy, clock
        self._messages, self._answers = Messages(policy), Answers(policy)
        self._servers = servers = Servers(url, prefix, timeout, clock)
        self._packed = packed = pack_policy(policy, subscribed, room_of_outbox(outbox_max_events))
        """The policy, ARGV[1] of every script."""
        self._sweep = walks.Sweep(servers, self._expire, policy.spent_far_ms)
        # A command is put together by hand from parts made once: that is most of what a call costs here.
        count = 3 if subscribed else 2
        size = 6 + count + (clock is not None)
        self._heads = {n: b"*%d\r\n%b%b" % (size, s.head, bulk(b"%d" % count)) for n, s in SCRIPTS.items()}
        self._rests = [
            b"".join(map(bulk, (due, outbox, packed) if subscribed else (due, packed)))
            for due, outbox in zip(servers.keys.due, servers.keys.outbox, strict=True)
        ]

    def on_failure(self, callback: Callable[[], None]) -> None:
        """Has *callback* called whenever a server cannot be reached, also without a call to it."""
        self._servers.router.on_failure = callback

    @property
    def failure(self) -> str:
        """The last failure of a connection, in words: the server, and what was wrong."""
        return self._servers.router.failure

    def admit(self, ask: Ask) -> Deferred[Decision]:
        decode = partial(self._answers.decision, ask)
        return self._change("admit", ask.user_id, self._messages.ask(ask), decode)

    def confirm(self, receipt: Receipt) -> Deferred[Verdict]:
        decode = partial(self._answers.verdict, receipt)
        return self._change("confirm", receipt.lease.ask.user_id, self._messages.receipt(receipt), decode)

    def report(self, receipt: Receipt, callback: OnVerdict) -> None:
        message, decode = self._messages.receipt(receipt), partial(self._answers.verdict, receipt)
        try:
            self._send("confirm", receipt.lease.ask.user_id, message, decode, callback, copy_context())
        except StoreUnavailable as error:
            callback(error)

    def beat(self, ask: Ask) -> Deferred[Decision]:
        answer: Deferred[Decision] = Deferred()
        message, decode = self._messages.ask(ask), partial(self._answers.beaten, ask)
        self._send("beat", ask.user_id, message, decode, partial(self._beaten, ask, answer))
        return answer

    def prolong(self, lease: Lease) -> Deferred[Gone | None]:
        return self._change("prolong", lease.ask.user_id, lease_message(lease), self._answers.prolonged)

    def abandon(self, lease: Lease) -> Deferred[Events]:
        return self._events_of("abandon", lease.ask.user_id, lease_message(lease))

    def end(self, user_id: str, session_id: str, keep_grant: bool = False) -> Deferred[Events]:
        return self._events_of("end", user_id, end_message(session_id, not keep_grant))

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Deferred[Events]:
        return self._events_of("terminate", user_id, terminate_message(session_id, by, reason))

    def forgive(self, user_id: str, session_id: str | None) -> Deferred[int]:
        return self._change("forgive", user_id, forgive_message(session_id), self._answers.forgiven)

    def forget(self, user_id: str) -> Deferred[Events]:
        return self._events_of("forget", user_id, forget_message())

    def lose_again(self, event: Event, keep_grant: bool = False) -> Deferred[Events]:
        kills_grant = event.type == "session.ended" and not keep_grant
        return self._events_of("end", event.session.user_id, again_message(event, kills_grant))

    def expire(self, at_most: int) -> Coroutine[Any, Any, Swept]:
        return self._sweep.once(at_most)

    async def sessions(self, user_id: str) -> Roster:
        now_ms, (ledger,) = await walks.ledgers(self._servers, shard_of(user_id), [user_id.encode()])
        live = self._answers.live(user_id, ledger, now_ms)
        return Roster(user_id, ledger.shown_limit(self._policy, now_ms), live)

    async def browse(
        self, cursor: str | None, at_most: int, user_id: str | None, stream_id: str | None, state: str | None
    ) -> Page:
        if user_id is None:
            return await walks.browse(self._servers, self._answers, cursor, at_most, stream_id, state)
        return Page(matching((await self.sessions(user_id)).sessions, stream_id, state), None)

    async def own_limit(self, user_id: str) -> OwnLimit | None:
        return await walks.own_limit(self._servers, user_id, self._policy)

    async def limits(self, cursor: str | None, at_most: int) -> LimitPage:
        return await walks.limits(self._servers, cursor, at_most, self._policy)

    def set_limit(self, user_id: str, max_sessions: int | None, terms: Terms = FOR_GOOD) -> Deferred[None]:
        return self._change("set_limit", user_id, limit_message(max_sessions, terms), lambda _: None)

    async def secret(self, name: str, made: str) -> str:
        """As `Store.secret`, by one command; all secrets are in the first shard."""
        key = self._servers.keys.of(0, "secret", name)
        command = ("SET", key, made, "NX", "GET") if made else ("GET", key)
        kept = await self._servers.ask(0, *command)
        return made if kept is None else kept.decode()

    async def pending(self) -> int:
        return await walks.count_events(self._servers)

    async def ping(self) -> None:
        """As `Store.ping`: every server must take a write, since without one of them some users have no store."""
        of, shards = self._servers.keys.of, self._servers.router.shard_of_each_server()
        await all_of(self._servers.ask(shard, "SET", of(shard, "ready"), 1, "PX", READY_MS) for shard in shards)

    async def close(self) -> None:
        self._servers.close()

    def _send(
        self,
        name: str,
        user_id: str,
        message: bytes,
        decode: Callable[[bytes], Any],
        callback: Callable[[Any], object],
        context: Context | None = None,
    ) -> None:
        """Runs the script *name* on the user's ledger; *callback* gets the answer, in *context* where none waits."""
        servers, user = self._servers, user_id.encode()
        shard = crc32(user) % SHARDS
        key = servers.keys.ledgers[shard] + user
        command = b"%b$%d\r\n%b\r\n%b$%d\r\n%b\r\n" % (
            self._heads[name],
            len(key),
            key,
            self._rests[shard],
            len(message),
            message,
        )
        if self._clock is not None:
            command += bulk(b"%d" % self._clock())
        servers.router.send(shard, command, decode, SCRIPTS[name], callback, context)

    def _change(self, name: str, user_id: str, message: bytes, decode: Callable[[bytes], Any]) -> Deferred[Any]:
        """As `_send`, for an answer that is returned."""
        answer: Deferred[Any] = Deferred()
        self._send(name, user_id, message, decode, answer.come)
        return answer

    def _events_of(self, name: str, user_id: str, message: bytes) -> Deferred[Events]:
        """As `_change`, for a script whose answer is events."""
        return self._change(name, user_id, message, partial(self._answers.events, user_id))

    def _expire(self, shard: int, users: list[bytes], following: int) -> Deferred[Expired]:
        """Runs expire.lua for *users* of *shard*. The answer names up to *following* users who are due next."""
        keys, script = self._servers.keys, SCRIPTS["expire"]
        first, *others = (keys.ledger(shard, user) for user in users)
        changed = [first, keys.due[shard], keys.outbox[shard], *others]
        time = () if self._clock is None else (self._clock(),)
        command = evalsha(script, changed, self._packed, following.to_bytes(2, "little"), *time)
        return self._servers.router.call(shard, command, partial(self._answers.expired, users), script)

    def _beaten(self, ask: Ask, answer: Deferred[Decision], decision: Decision | StoreUnavailable | None) -> None:
        """Resolves *answer* with beat.lua's *decision*; without one, by admission and receipt, in a task."""
        if decision is None:
            answer.come_of(self._one_by_one(ask))
        else:
            answer.come(decision)

    async def _one_by_one(self, ask: Ask) -> Decision:
        """A heartbeat as an admission and a receipt of its lease."""
        decision = await self.admit(unnamed(ask))
        if not isinstance(decision, Admitted) or decision.lease is None:
            return decision
        return beaten(decision, await self.confirm(Receipt(decision.lease)), ask)
