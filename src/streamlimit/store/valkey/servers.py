"""The servers of a store: scripts and plain commands are called on the server of a shard."""

from collections.abc import Callable, Iterable
from typing import Any

from streamlimit.store.contract import Clock
from streamlimit.store.deferred import Deferred
from streamlimit.store.valkey.connection import as_it_is, encode
from streamlimit.store.valkey.keys import Keys
from streamlimit.store.valkey.location import Address, Layout, parse
from streamlimit.store.valkey.router import Router
from streamlimit.store.valkey.scripts import Script

ANSWER_SECONDS = 1.0
"""How long an answer may take where no viewer waits for it."""

Value = str | int | bytes


class Servers:
    """The servers at *url*, with the keys that begin with *prefix*. *timeout* (seconds): how long an answer may take.

    *clock* (tests only) replaces the servers' own. Raises `SettingsError` where the URL is wrong.
    """

    def __init__(self, url: str, prefix: str, timeout: float, clock: Clock | None = None) -> None:
        location = parse(url)
        self.keys, self._clock = Keys(prefix), clock
        self.is_cluster = location.layout is Layout.CLUSTER
        self.router = Router(location, timeout)
        self.server_of: Callable[[int], Address | None] = self.router.node_of
        self.close = self.router.close

    def ask(self, shard: int, *command: Value) -> Deferred[Any]:
        """A plain command to the shard's server; the reply as it is."""
        return self.router.call(shard, encode(*command), as_it_is)

    def run(self, script: Script, shard: int, keys: Iterable[bytes], *values: Value) -> Deferred[Any]:
        """The *script* on keys of one shard; the reply as it is."""
        return self.router.call(shard, evalsha(script, keys, *values), as_it_is, script)

    def test_time(self) -> int | str:
        """The time as an argument of scripts that take the servers' own where it is empty; only tests give one."""
        return "" if self._clock is None else self._clock()

    async def now_ms(self, shard: int) -> int:
        """The time of the shard's server."""
        if self._clock is not None:
            return self._clock()
        seconds, micros = await self.ask(shard, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000


def evalsha(script: Script, keys: Iterable[bytes], *values: Value) -> bytes:
    """The command that calls *script*; the deadline is still to come (connection.py)."""
    keys = list(keys)
    return encode("EVALSHA", script.sha, len(keys), *keys, *values, more=1)
