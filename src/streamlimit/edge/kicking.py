"""Kicks: a media server's API disconnects viewers who lost their seat, where the settings give its address.

Only the operator's address is called; of a hook's data only ids go into the path, encoded.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from streamlimit.logs import EventLog

if TYPE_CHECKING:
    import httpx

WAITS = (1.0, 2.0, 4.0, 8.0)
"""Seconds between tries; after the last one the failure is logged."""
TIMEOUT_SECONDS = 5.0
AT_ONCE = 16
NOT_THERE = 404
MEDIAMTX_KINDS = {
    "hls": ("hlssessions",),
    "rtmp": ("rtmpconns", "rtmpsconns"),
    "srt": ("srtconns",),
    "webrtc": ("webrtcsessions",),
}
"""The connection types of MediaMTX's API to which an id may belong, by the protocol of the question."""

log = EventLog("streamlimit.edge")


class KickFailed(Exception):
    """The server's API failed, and may succeed later."""


class ServerApi:
    """The API at *address*."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def call(self, method: str, path: str) -> "httpx.Response | None":
        """The answer of a call; None: the server has no client of that id. Raises `KickFailed`."""
        import httpx

        try:
            # Its own client: a kick is rare, and no connection need be kept.
            async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
                answer = await client.request(method, self._address + path)
        except httpx.HTTPError as error:
            raise KickFailed(type(error).__name__) from error
        if answer.status_code == NOT_THERE:
            return None
        if not answer.is_success:
            raise KickFailed(f"status {answer.status_code}")
        return answer


Cut = Callable[[str, str], Awaitable[bool]]
"""Disconnects a player, by id and protocol. Returns whether it was connected. Raises `KickFailed`."""


def srs_cut(api: ServerApi) -> Cut:
    """The kick of SRS: `DELETE /api/v1/clients/<id>`."""

    async def cut(player: str, protocol: str) -> bool:
        return await api.call("DELETE", f"/api/v1/clients/{quote(player, '')}") is not None

    return cut


def mediamtx_cut(api: ServerApi) -> Cut:
    """The kick of MediaMTX: `POST /v3/<kind>/kick/<id>`. By RTSP its hook names a connection, the API a session."""

    async def cut(player: str, protocol: str) -> bool:
        name = protocol.lower()
        if name.startswith("rtsp"):
            return any([await _cut_rtsp(api, tls, player) for tls in ("rtsp", "rtsps")])
        kinds = MEDIAMTX_KINDS.get(name, ())
        return any([await api.call("POST", f"/v3/{kind}/kick/{quote(player, '')}") is not None for kind in kinds])

    return cut


async def _cut_rtsp(api: ServerApi, name: str, connection: str) -> bool:
    answer = await api.call("GET", f"/v3/{name}conns/get/{quote(connection, '')}")
    session = None if answer is None else _session_in(answer)
    if not session:
        return False
    return await api.call("POST", f"/v3/{name}sessions/kick/{quote(session, '')}") is not None


def _session_in(answer: "httpx.Response") -> str | None:
    try:
        document: Any = answer.json()
    except ValueError as error:
        raise KickFailed("its answer is no JSON") from error
    session = document.get("session") if isinstance(document, dict) else None
    return session if isinstance(session, str) else None


class Kicker:
    """Disconnects players of *server* (its name in the log), several at once, each with a few tries."""

    def __init__(self, server: str, cut: Cut, waits: Sequence[float] = WAITS) -> None:
        self._server, self._cut, self._waits = server, cut, waits
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    def kick(self, player: str, protocol: str = "") -> None:
        """Disconnects *player* in the background."""
        task = asyncio.create_task(self._kick(player, protocol))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _kick(self, player: str, protocol: str) -> None:
        problem = ""
        for wait in (0.0, *self._waits):
            await asyncio.sleep(wait)
            try:
                async with self._room:
                    found = await self._cut(player, protocol)
            except KickFailed as error:
                problem = str(error)
                continue
            log.info("player_cut", server=self._server, was_there=found)
            return
        log.warning("player_not_cut", server=self._server, problem=problem)
