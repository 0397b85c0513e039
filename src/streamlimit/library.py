"""The library for programs that embed streamlimit: a limiter over the store of a URL, for asyncio and for threads.

Knows no settings file and no HTTP. docs/how-to/embed-the-library.md has it in FastAPI, Flask and Django.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from streamlimit.errors import SettingsError
from streamlimit.limiter import LeaseHolder, Limiter
from streamlimit.model import Ask, Decision, Roster, Swept
from streamlimit.policy import Policy
from streamlimit.store.contract import Answer, Events, Store, resolved

T = TypeVar("T")
Error = type[BaseException] | None


class OpenLimiter(Limiter):
    """A limiter that owns its store: `close` it, or use it as `async with`. For one event loop."""

    async def reserve(self, ask: Ask) -> LeaseHolder:
        """The lease of *ask*, entered: end it by `leave` (received) or `fail` (not). Raises `Refused`."""
        return await self.lease(ask).__aenter__()

    async def sessions(self, user_id: str) -> Roster:
        """The roster of the user: the live sessions, the oldest first, and the limit."""
        return await resolved(self.store.sessions(user_id))

    async def close(self) -> None:
        """Closes files and connections. Twice is once."""
        await resolved(self.store.close())

    async def __aenter__(self) -> "OpenLimiter":
        return self

    async def __aexit__(self, kind: Error, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


def open_limiter(store: str, policy: Policy | None = None) -> OpenLimiter:
    """A limiter over the *store* of a URL, by *policy* (default: three seats, segments of 6 s).

    The URL is `memory://`, `sqlite:///file`, `valkey://host:port/0`, `valkey+cluster://…` or `valkey+sentinel://…`.
    Raises `SettingsError` for any other, and `StoreUnavailable` where a file cannot be opened; a server is reached
    by the first call. While the store does not answer, calls raise `StoreUnavailable`.
    """
    return OpenLimiter(open_store(store, policy or Policy()))


def open_store(url: str, policy: Policy) -> Store:
    """The store of a URL, for an event loop. Raises as `open_limiter`."""
    if url == "memory://":
        from streamlimit.store.memory import MemoryStore

        return MemoryStore(policy)
    kind, _, place = url.partition("://")
    if kind == "sqlite" and len(place) > 1 and place.startswith("/"):
        from streamlimit.store.sqlite import SqliteStore

        return SqliteStore(place[1:], policy, gathers=True)
    if kind.partition("+")[0] in ("valkey", "valkeys", "redis", "rediss") and place:
        from streamlimit.store.valkey import ValkeyStore

        return ValkeyStore(url, policy)
    raise SettingsError(
        "store", "give memory://, sqlite:///file, valkey://…, valkey+cluster://… or valkey+sentinel://…"
    )


class SyncLimiter:
    """The limiter for threads (Flask, Django): each call blocks until it is answered.

    One background thread of the process runs it. It begins with the first call, so that a server may fork before.
    """

    def __init__(self, opened: Callable[[], OpenLimiter]) -> None:
        self._open, self._lock = opened, threading.Lock()
        self._running: _Running | None = None

    def lease(self, ask: Ask) -> "SyncLease":
        """As `Limiter.lease`: leaving the `with` block normally confirms, by exception abandons."""
        return SyncLease(self._ready(), ask)

    def reserve(self, ask: Ask) -> "SyncLease":
        """The lease of *ask*, entered: `SyncLease.over` ends it when its chunks were taken. Raises `Refused`."""
        return self.lease(ask).__enter__()

    def admit(self, ask: Ask) -> Decision:
        """The decision on *ask*, `Admitted` or `Refusal`, as a value."""
        answer: Decision = self._call(lambda limiter: limiter.admit(ask))
        return answer

    def beat(self, ask: Ask) -> Decision:
        """A heartbeat: admitted and confirmed in one step, or refused."""
        answer: Decision = self._call(lambda limiter: limiter.beat(ask))
        return answer

    def sessions(self, user_id: str) -> Roster:
        """The roster of the user: the live sessions, the oldest first, and the limit."""
        answer: Roster = self._call(lambda limiter: limiter.sessions(user_id))
        return answer

    def end(self, user_id: str, session_id: str) -> Events:
        """Ends a session for its viewer; the seat is free at once. Again: nothing."""
        answer: Events = self._call(lambda limiter: limiter.end(user_id, session_id))
        return answer

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Events:
        """Terminates one session of the user, or (None) all. *by*, *reason*: for the viewer and events."""
        answer: Events = self._call(lambda limiter: limiter.terminate(user_id, session_id, by, reason))
        return answer

    def set_limit(self, user_id: str, max_sessions: int | None) -> None:
        """Gives the user a limit of their own, or (None) the policy's again."""
        self._call(lambda limiter: limiter.set_limit(user_id, max_sessions))

    def expire(self, at_most: int = 100) -> Swept:
        """One bounded step of the sweep, for cron: removes expired sessions and announces them.

        Seats are free without it.
        """
        answer: Swept = self._call(lambda limiter: limiter.expire(at_most))
        return answer

    def close(self) -> None:
        """Closes files and connections. Twice is once."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None and running.pid == os.getpid():
            running.stop()

    def __enter__(self) -> "SyncLimiter":
        return self

    def __exit__(self, kind: Error, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _call(self, work: Callable[[OpenLimiter], Answer[Any]]) -> Any:
        running = self._ready()

        async def done() -> Any:
            return await resolved(work(running.limiter))

        return running.call(done())

    def _ready(self) -> "_Running":
        with self._lock:
            if self._running is None or self._running.pid != os.getpid():  # a forked child has no threads
                self._running = _Running(self._open)
            return self._running


def open_limiter_sync(store: str, policy: Policy | None = None) -> SyncLimiter:
    """As `open_limiter`, for threads instead of an event loop. Nothing is opened before the first call."""
    return SyncLimiter(lambda: open_limiter(store, policy))


class SyncLease:
    """One lease from reservation to receipt. `admitted`: the decision; `lease`: the reservation."""

    def __init__(self, running: "_Running", ask: Ask) -> None:
        self._running, self.holder = running, running.limiter.lease(ask)
        self._is_open = False

    def __enter__(self) -> "SyncLease":
        self._running.call(self.holder.__aenter__())
        self._is_open = True
        return self

    def __exit__(self, kind: Error, error: BaseException | None, trace: TracebackType | None) -> None:
        self.settle(kind is None)

    def issue(self, segment: str | None, sequence: int | None, kind: str = "video", play_ms: int = 0) -> "SyncLease":
        """Sets what is delivered: the segment's name, number (from 0), kind of media, and duration in ms."""
        self.holder.issue(segment, sequence, kind, play_ms)
        return self

    def over(self, chunks: Iterable[bytes]) -> "Chunks":
        """*chunks* as the body of a WSGI response: confirmed when all were taken, abandoned when closed before."""
        return Chunks(self, chunks)

    def settle(self, is_received: bool) -> None:
        """Confirms (True) or abandons the lease; the second time nothing."""
        if self._is_open:
            self._is_open = False
            self._running.call(_left(self.holder) if is_received else self.holder.fail())


class Chunks(Iterator[bytes]):
    """The body of a response that holds a lease. A WSGI server closes it, whatever happens."""

    def __init__(self, lease: SyncLease, chunks: Iterable[bytes]) -> None:
        self._lease, self._chunks = lease, chunks
        self._left = iter(chunks)

    def __next__(self) -> bytes:
        try:
            return next(self._left)
        except StopIteration:
            self._lease.settle(True)
            raise

    def close(self) -> None:
        """Called by the server at the end of the response; abandons unless all chunks were taken."""
        self._lease.settle(False)
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()


async def _left(holder: LeaseHolder) -> None:
    leaving = holder.leave()
    if leaving is not None:
        await leaving


class _Running:
    """A limiter on an event loop in a thread of its own."""

    def __init__(self, opened: Callable[[], OpenLimiter]) -> None:
        self.pid, self._loop = os.getpid(), asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="streamlimit", daemon=True).start()
        self.limiter = self.call(_in_loop(opened))

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        self.call(self.limiter.close())
        self._loop.call_soon_threadsafe(self._loop.stop)


async def _in_loop(opened: Callable[[], OpenLimiter]) -> OpenLimiter:
    """Opens the limiter in the running loop, to which it belongs."""
    return opened()
