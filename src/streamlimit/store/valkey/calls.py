"""The calls that the store is made of: a script for a user, or for several of a shard.

A user's command is put together by hand from parts made once: that is most of what a call costs here.
"""

from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any
from zlib import crc32

from streamlimit.policy import Policy
from streamlimit.rules.ledger import Ledger
from streamlimit.store.contract import Clock, Events
from streamlimit.store.deferred import Deferred
from streamlimit.store.valkey.answers import Answers, Expired
from streamlimit.store.valkey.codec import pack_policy
from streamlimit.store.valkey.connection import bulk
from streamlimit.store.valkey.decode import read_ledger
from streamlimit.store.valkey.keys import SHARDS, room_of_outbox
from streamlimit.store.valkey.scripts import SCRIPTS
from streamlimit.store.valkey.servers import Servers, evalsha


class Calls(Servers):
    """The calls to the servers at *url*. The arguments are those of `ValkeyStore`."""

    def __init__(
        self,
        url: str,
        policy: Policy,
        subscribed: frozenset[str],
        clock: Clock | None,
        prefix: str,
        timeout: float,
        outbox_max_events: int,
    ) -> None:
        super().__init__(url, prefix, timeout, clock)
        self.answers, self.far_ms = Answers(policy), policy.spent_far_ms
        self._policy = pack_policy(policy, subscribed, room_of_outbox(outbox_max_events))  # ARGV[1] of every script
        count = 3 if subscribed else 2
        size = 6 + count + (clock is not None)
        self._heads = {n: b"*%d\r\n%b%b" % (size, s.head, bulk(b"%d" % count)) for n, s in SCRIPTS.items()}
        self._rests = [
            b"".join(map(bulk, (due, outbox, self._policy) if subscribed else (due, self._policy)))
            for due, outbox in zip(self.keys.due, self.keys.outbox, strict=True)
        ]

    def change(self, name: str, user_id: str, message: bytes, decode: Callable[[bytes], Any]) -> Deferred[Any]:
        """Runs the script *name* on the user's ledger."""
        answer: Deferred[Any] = Deferred()
        self.send(name, user_id, message, decode, answer.come)
        return answer

    def send(
        self,
        name: str,
        user_id: str,
        message: bytes,
        decode: Callable[[bytes], Any],
        callback: Callable[[Any], object],
        context: Context | None = None,
    ) -> None:
        """As `change`, with a *callback* for the answer, called in *context* where no request waits."""
        user = user_id.encode()
        shard = crc32(user) % SHARDS
        key = self.keys.ledgers[shard] + user
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
        self.router.send(shard, command, decode, SCRIPTS[name], callback, context)

    def events_of(self, name: str, user_id: str, message: bytes) -> Deferred[Events]:
        """As `change`, for a script whose answer is events."""
        return self.change(name, user_id, message, partial(self.answers.events, user_id))

    async def ledgers(self, shard: int, users: list[bytes]) -> tuple[int, list[Ledger]]:
        """The time in ms and the ledgers of *users*, all of them of *shard*."""
        values = self.ask(shard, "MGET", *(self.keys.ledger(shard, user) for user in users))
        now_ms = await self.now_ms(shard)
        return now_ms, [read_ledger(value or b"") for value in await values]

    def expire(self, shard: int, users: list[bytes], following: int) -> Deferred[Expired]:
        """Runs expire.lua for *users* of *shard*. The answer names up to *following* users who are due next."""
        first, *others = (self.keys.ledger(shard, user) for user in users)
        keys = [first, self.keys.due[shard], self.keys.outbox[shard], *others]
        script, time = SCRIPTS["expire"], () if self._clock is None else (self._clock(),)
        command = evalsha(script, keys, self._policy, following.to_bytes(2, "little"), *time)
        return self.router.call(shard, command, partial(self.answers.expired, users), script)
