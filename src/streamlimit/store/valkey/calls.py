"""Calling a script for a user, reading ledgers of a shard, asking a plain command: what the store is made of."""

from asyncio import Future
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from streamlimit.model import Receipt
from streamlimit.policy import Policy
from streamlimit.rules.ledger import Ledger
from streamlimit.store.contract import Clock, Events
from streamlimit.store.valkey.answers import Answers, Expired
from streamlimit.store.valkey.codec import pack_policy
from streamlimit.store.valkey.connection import Ear, Hearing, encode
from streamlimit.store.valkey.keys import Keys, room_of_outbox, shard_of
from streamlimit.store.valkey.location import Address, parse
from streamlimit.store.valkey.messages import Commands
from streamlimit.store.valkey.router import Router
from streamlimit.store.valkey.scripts import SCRIPTS


class Packed(Struct, frozen=True, gc=False):
    """A receipt that is ready to be sent."""

    receipt: Receipt
    shard: int
    command: bytes


class Calls:
    """See `ValkeyStore` for the arguments."""

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
        self._router = Router(parse(url), timeout)
        self.close = self._router.close
        self.shard_of_each_server = self._router.shard_of_each_server
        self.server_of: Callable[[int], Address | None] = self._router.node_of

    def when_it_fails(self, heard: Callable[[], None]) -> None:
        """See `ValkeyStore`."""
        self._router.on_failure = heard

    @property
    def failure(self) -> str:
        """What the last failure was that nobody asked for."""
        return self._router.failure

    def change(self, name: str, user_id: str, message: bytes, decode: Callable[[bytes], Any]) -> Future[Any]:
        """Runs the script *name* on the user's ledger."""
        shard = shard_of(user_id)
        command = self._commands.script(name, shard, user_id.encode(), message)
        return self._router.call(shard, command, decode, SCRIPTS[name])

    def pack(self, receipt: Receipt, message: bytes) -> Packed:
        """For confirm.lua, to be sent again and again."""
        user_id = receipt.lease.ask.user_id
        shard = shard_of(user_id)
        return Packed(receipt, shard, self._commands.script("confirm", shard, user_id.encode(), message))

    def send(self, packed: Packed, heard: Callable[[Any], None]) -> None:
        """Nobody waits: *heard* is told the verdict, or `StoreUnavailable`."""
        decode = partial(self.answers.verdict, packed.receipt)
        self._router.send(packed.shard, packed.command, decode, SCRIPTS["confirm"], Ear(heard))

    def run(self, name: str, user_id: str, message: bytes, decode: Callable[[bytes], Any], ear: Hearing) -> None:
        """As `change`, where *ear* stands for the future."""
        shard = shard_of(user_id)
        command = self._commands.script(name, shard, user_id.encode(), message)
        self._router.send(shard, command, decode, SCRIPTS[name], ear)

    def told(self, name: str, user_id: str, message: bytes) -> Future[Events]:
        """The same for a script that answers with events alone."""
        return self.change(name, user_id, message, partial(self.answers.events, user_id))

    def ledgers(self, shard: int, users: list[bytes]) -> Future[tuple[int, list[Ledger]]]:
        """The time in ms and the ledgers of *users*, all of them of *shard*."""
        script = SCRIPTS["sessions"]
        command = self._commands.read(script, shard, users)
        return self._router.call(shard, command, self.answers.ledgers, script)

    def expire(self, shard: int, users: list[bytes], following: int) -> Future[Expired]:
        """Runs expire.lua for *users*, all of them of *shard*; it names up to *following* who are due next."""
        script = SCRIPTS["expire"]
        command = self._commands.sweep(script, shard, users, following)
        return self._router.call(shard, command, partial(self.answers.expired, users), script)

    def ask(self, shard: int, *command: str | int | bytes) -> Future[Any]:
        """A plain command to the shard's server; the reply as it is."""
        return self._router.call(shard, encode(*command), _as_it_is)

    async def now_ms(self, shard: int) -> int:
        """The time of the shard's server."""
        if self._clock is not None:
            return self._clock()
        seconds, micros = await self.ask(shard, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000


def _as_it_is(reply: Any) -> Any:
    return reply
