"""The calls that the store is made of: a script for a user, the ledgers of a shard, a plain command."""

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
from streamlimit.store.valkey.connection import encode
from streamlimit.store.valkey.keys import SHARDS, Keys, room_of_outbox
from streamlimit.store.valkey.location import Address, parse
from streamlimit.store.valkey.messages import Commands, bulk
from streamlimit.store.valkey.router import Router
from streamlimit.store.valkey.scripts import SCRIPTS


class Calls:
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
        self.keys, self.answers, self._clock = Keys(prefix), Answers(policy), clock
        self.far_ms = policy.spent_far_ms
        packed = pack_policy(policy, subscribed, room_of_outbox(outbox_max_events))
        self._commands = Commands(self.keys, packed, bool(subscribed), clock)
        self._heads, self._ledgers, self._rests = self._commands.parts
        self._router = Router(parse(url), timeout)
        self.close = self._router.close
        self.shard_of_each_server = self._router.shard_of_each_server
        self.server_of: Callable[[int], Address | None] = self._router.node_of

    def on_failure(self, callback: Callable[[], None]) -> None:
        """Has *callback* called whenever a server cannot be reached; see `ValkeyStore`."""
        self._router.on_failure = callback

    @property
    def failure(self) -> str:
        """The last failure of a connection, in words."""
        return self._router.failure

    def change(self, name: str, user_id: str, message: bytes, decode: Callable[[bytes], Any]) -> Deferred[Any]:
        """Runs the script *name* on the user's ledger."""
        answer: Deferred[Any] = Deferred()
        self.run(name, user_id, message, decode, answer.come)
        return answer

    def run(
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
        key = self._ledgers[shard] + user
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
        self._router.send(shard, command, decode, SCRIPTS[name], callback, context)

    def events_of(self, name: str, user_id: str, message: bytes) -> Deferred[Events]:
        """As `change`, for a script whose answer is events."""
        return self.change(name, user_id, message, partial(self.answers.events, user_id))

    def ledgers(self, shard: int, users: list[bytes]) -> Deferred[tuple[int, list[Ledger]]]:
        """The time in ms and the ledgers of *users*, all of them of *shard*."""
        script = SCRIPTS["sessions"]
        command = self._commands.read(script, shard, users)
        return self._router.call(shard, command, self.answers.ledgers, script)

    def expire(self, shard: int, users: list[bytes], following: int) -> Deferred[Expired]:
        """Runs expire.lua for *users* of *shard*. The answer names up to *following* users who are due next."""
        script = SCRIPTS["expire"]
        command = self._commands.sweep(script, shard, users, following)
        return self._router.call(shard, command, partial(self.answers.expired, users), script)

    def ask(self, shard: int, *command: str | int | bytes) -> Deferred[Any]:
        """The reply to a plain command, undecoded, from the shard's server."""
        return self._router.call(shard, encode(*command), _as_it_is)

    async def now_ms(self, shard: int) -> int:
        """The time of the shard's server."""
        if self._clock is not None:
            return self._clock()
        seconds, micros = await self.ask(shard, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000


def _as_it_is(reply: Any) -> Any:
    return reply
