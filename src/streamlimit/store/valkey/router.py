"""The router: sends calls to the server of their shard, in all layouts (one server, a cluster, sentinels).

A call that is redirected (MOVED, ASK), or meets a server that lacks the script (NOSCRIPT), migrates the keys (TRYAGAIN)
or had its clock set (TOOLATE), is sent again within the time that an answer may take; every other error is
`StoreUnavailable`. After such an answer the layout is refreshed, from any server that answers.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

from streamlimit.errors import StoreUnavailable
from streamlimit.logs import EventLog
from streamlimit.store.deferred import Deferred
from streamlimit.store.valkey.connection import TOO_LATE, Call, Decode, Pipe, as_it_is, encode
from streamlimit.store.valkey.discovery import NotFound, Plan, Pointer, asking_for_layout, find, pointed_to
from streamlimit.store.valkey.keys import SHARDS, SHARDS_OF
from streamlimit.store.valkey.location import Address, Layout, Location, shown
from streamlimit.store.valkey.nodes import ASKING, Node, Opening, login_of
from streamlimit.store.valkey.scripts import SCRIPTS, Script

log = EventLog("streamlimit.store")

TRIES = 32
PAUSE = 0.01
"""Seconds before a call is sent again while servers migrate its keys."""

FIRST_REFRESH, LONGEST_REFRESH = 0.02, 0.25
"""Seconds between questions for the layout while a server cannot be reached; doubled each time."""

STALE = frozenset({"CLUSTERDOWN", "READONLY", "MASTERDOWN", "LOADING"})
"""Errors after which another server may be the right one."""

BROKEN = frozenset({"ERR", "WRONGTYPE"})
"""Errors of a script that could not read what it found."""

MEND = SCRIPTS["mend"]
MENDED = frozenset(SCRIPTS.values()) - {MEND}
"""Scripts that read ledgers."""


class Router:
    """The router of one store. Made anywhere; belongs to the event loop of its latest call.

    *timeout* (seconds) is how long an answer may take, over all redirections. `on_failure` is called whenever a server
    cannot be reached, though no call asked for it.
    """

    def __init__(self, location: Location, timeout: float) -> None:
        self._location, self._timeout = location, timeout
        self._asking = asking_for_layout(location, timeout)
        loads = tuple(encode("SCRIPT", "LOAD", script.body) for script in SCRIPTS.values())
        self._opening = Opening(location.tls, timeout, login_of(location) + loads, runs_scripts=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self.on_failure: Callable[[], None] = _nothing
        self.failure = ""  # the last one's text
        self._reset()

    def call(self, shard: int, command: bytes, decode: Decode, script: Script | None = None) -> Deferred[Any]:
        """Sends *command* to the shard's server. The answer is the reply, decoded by *decode*."""
        answer: Deferred[Any] = Deferred()
        self.send(shard, command, decode, script, answer.come)
        return answer

    def send(
        self,
        shard: int,
        command: bytes,
        decode: Decode,
        script: Script | None,
        callback: Callable[[Any], object],
        context: Context | None = None,
    ) -> None:
        """As `call`, with a *callback* for the answer, called in *context* where no request waits."""
        loop = self._loop
        if loop is None or not loop.is_running():  # asking for the running one is a system call
            loop = self._begin(asyncio.get_running_loop())
        deadline, node = loop.time() + self._timeout, self._by_shard[shard]
        call = Call(command, callback, deadline, decode, script, shard, context, context is None)
        if node is not None and node.pipe is not None:
            node.pipe.send(call, command)
        elif node is not None:
            node.send(call)
        elif self._trouble:
            call.fail(self._trouble)
        else:
            self._early.append(call)

    def node_of(self, shard: int) -> Address | None:
        """The address of the shard's server, as far as it is known."""
        node = self._by_shard[shard]
        return None if node is None else node.address

    def shard_of_each_server(self) -> list[int]:
        """One shard of every known server; while none is known, any shard."""
        return list({node: shard for shard, node in enumerate(self._by_shard)}.values())

    def close(self) -> None:
        """Closes all connections; later calls raise `StoreUnavailable`. Twice is once."""
        self._closed = True
        if self._refreshing is not None:
            self._refreshing.cancel()
        self._fail_early("the store is closed")
        for node in self._nodes.values():
            node.close()
        self._reset()
        self._loop = None

    def _reset(self) -> None:
        self._nodes: dict[Address, Node] = {}
        self._by_shard: list[Node | None] = [None] * SHARDS
        self._early: list[Call] = []
        self._trouble = ""
        self._refreshing: asyncio.Task[None] | None = None

    def _begin(self, loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
        if self._closed:
            raise StoreUnavailable("valkey: the store is closed")
        self._reset()
        self._loop = loop
        self._wanted = asyncio.Event()
        if self._location.layout is Layout.SINGLE:
            self._by_shard = [self._node(self._location.seeds[0])] * SHARDS
        else:
            loop.call_later(self._timeout, self._fail_early, "no server found in time")
            self._refreshing = loop.create_task(self._refresh_forever())
        return loop

    def _node(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:
            node = Node(address, self._opening, self._refused, self._troubled)
            self._nodes[address] = node
        return node

    def _troubled(self, why: str) -> None:
        """Begins to refresh the layout, since a server cannot be reached: another one may have its slots now."""
        self._wanted.set()
        if why:
            self.failure = why
            self.on_failure()

    def _refused(self, pipe: Pipe, call: Call, text: str) -> None:
        """Handles a server's error: the call is sent again, or fails with `StoreUnavailable`."""
        code, _, rest = text.partition(" ")
        refusal = f"{shown(pipe.address)}: {text}"
        if call.shard < 0 or call.tries >= TRIES:
            call.fail(refusal)
        elif code == "NOSCRIPT" and call.script is not None:
            self._again(pipe, call, encode("SCRIPT", "LOAD", call.script.body))
        elif code == TOO_LATE:
            pipe.clock.learn(float(rest))
            self._again(pipe, call)
        elif code in {"MOVED", "ASK"} and (where := pointed_to(rest, pipe.address, self._nodes)):
            self._redirect(pipe, call, where, asking=code == "ASK")
        elif code == "TRYAGAIN":
            self._again_soon(call)
        elif code in BROKEN and call.script in MENDED and not call.is_mended:
            self._mend(pipe, call, refusal)
        else:
            if code in STALE:
                self._wanted.set()
            call.fail(refusal)

    def _again(self, pipe: Pipe, call: Call, *before: bytes) -> None:
        """Sends a call again over the same connection, after commands that it needs: the server had not run it."""
        if self._is_over(call):
            return
        for command in (*before, *((ASKING,) if call.asking else ())):
            pipe.send(None, command)
        pipe.send(call, call.command)

    def _mend(self, pipe: Pipe, call: Call, refusal: str) -> None:
        """Has mend.lua replace what the call's script could not read, and sends the call again, once."""
        assert call.script is not None
        call.is_mended = True
        command, mended = call.command.replace(call.script.sha, MEND.sha, 1), partial(self._mended, call, refusal)
        mend = Call(command, mended, call.deadline, as_it_is, MEND, call.shard, asking=call.asking)
        self._again(pipe, mend)

    def _mended(self, call: Call, refusal: str, answer: list[list[bytes]] | StoreUnavailable) -> None:
        if isinstance(answer, StoreUnavailable):
            call.fail(refusal)
            return
        ledgers, ended = answer
        for user in ledgers:
            log.error("ledger_unreadable", user_id=user.decode(), problem=refusal, note="its user begins anew")
        for user in ended:
            log.error(
                "grants_unreadable", user_id=user.decode(), problem=refusal, note="none given so far starts anything"
            )
        if not self._is_over(call):
            self._resend(call)

    def _redirect(self, pipe: Pipe, call: Call, where: Pointer, asking: bool) -> None:
        node = self._node(where.address)
        if not asking:
            for shard in SHARDS_OF.get(where.slot, ()):
                self._by_shard[shard] = node
            self._wanted.set()
        if self._is_over(call):
            return
        call.asking = asking
        if node.address == pipe.address:  # it does not know its own name: who it means, the layout will say
            self._again_soon(call)
        else:
            node.send(call, asking)

    def _again_soon(self, call: Call) -> None:
        if not self._is_over(call) and self._loop is not None:
            self._loop.call_later(PAUSE, self._resend, call)

    def _resend(self, call: Call) -> None:
        node = self._by_shard[call.shard]
        call.asking = False
        if node is not None and not call.is_done:
            node.send(call)

    def _is_over(self, call: Call) -> bool:
        """Fails a call whose time is over, which redirections do not extend. True: it was."""
        if self._loop is None or self._loop.time() >= call.deadline:
            call.fail("no answer in time")
        elif not call.tries:
            self._loop.call_at(call.deadline, call.fail, "no answer in time")
        call.tries += 1
        return call.is_done

    async def _refresh_forever(self) -> None:
        pause = FIRST_REFRESH
        while True:
            self._wanted.clear()
            if await self._refresh_once():
                pause = FIRST_REFRESH
                await self._wanted.wait()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_REFRESH)

    async def _refresh_once(self) -> bool:
        """Reads the layout and adopts it. True: every shard's server is known and connected."""
        pipes = {address: node.pipe for address, node in self._nodes.items()}
        try:
            plan = await find(self._location, self._asking, pipes)
        except NotFound as error:
            self._fail_early(str(error))
            return False
        self._follow(plan)
        return all(node is not None and node.pipe is not None for node in self._by_shard)

    def _follow(self, plan: Plan) -> None:
        self._by_shard = [None if address is None else self._node(address) for address in plan]
        self._trouble = "nobody serves these slots" if None in plan else ""
        early, self._early = self._early, []
        for call in early:
            node = self._by_shard[call.shard]
            if node is not None:
                node.send(call)
            else:
                call.fail(self._trouble)
        for address in self._nodes.keys() - set(plan):
            self._nodes.pop(address).retire()

    def _fail_early(self, why: str) -> None:
        """Fails waiting calls: from the first failed discovery on, calls without a server fail at once."""
        if None in self._by_shard:
            self._trouble = why
        early, self._early = self._early, []
        for call in early:
            call.fail(why)


def _nothing() -> None:
    """The default listener to failures, which does nothing."""
