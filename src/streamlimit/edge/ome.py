"""`POST /edge/ome`: OvenMediaEngine's admission webhook. The answer is always 200, and says `allowed`.

Nothing is reported between opening and closing: until then this worker holds the seat. `lifetime` 0: the server does
not cut the viewer by itself.
"""

import base64
import hmac
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from streamlimit.edge.answer import noted
from streamlimit.edge.grants import in_query
from streamlimit.edge.holding import Holding
from streamlimit.edge.hooks import read_hook
from streamlimit.edge.seating import Seating
from streamlimit.errors import StreamlimitError
from streamlimit.http.request import Request
from streamlimit.web.auth import Caller
from streamlimit.web.incoming import body_of, require_method
from streamlimit.web.outgoing import Reply, json_reply
from streamlimit.web.problems import Problem, wrong_field
from streamlimit.web.service import Service
from streamlimit.web.spelling import id_in_path

ROUTE = "/edge/ome"


class Client(Struct, frozen=True):
    """The client of OvenMediaEngine. `real_ip`: where a proxy stands between them."""

    address: str = ""
    real_ip: str | None = None


class Wish(Struct, frozen=True):
    """The request of OvenMediaEngine's client. `direction`: `outgoing` of viewers, `incoming` of publishers."""

    direction: str
    url: str
    status: str = "opening"


class Hook(Struct, frozen=True):
    """A call of OvenMediaEngine."""

    request: Wish
    client: Client = Client()


class Ome:
    """The handler of the admission webhook. Errors are raised, but a viewer's refusal is an answer."""

    def __init__(self, service: Service, seating: Seating, holding: Holding) -> None:
        self._proxies, self._tally = service.proxies, service.tally
        self._seating, self._holding = seating, holding
        secret = service.settings.ome_secret
        self._secret = None if secret is None else secret.get_secret_value().encode()

    async def __call__(self, request: Request) -> Reply:
        require_method(request, "POST")
        self._require_server(request)
        said = read_hook(Hook, request)
        return json_reply(await self._answer(said.request, said.client))

    def _require_server(self, request: Request) -> None:
        """Raises 403 for a body that the server did not sign, or where it has no secret, did not send."""
        if self._secret is None:
            self._proxies.require(request)
            return
        made = base64.urlsafe_b64encode(hmac.digest(self._secret, body_of(request), "sha1")).rstrip(b"=")
        stated = (request.header(b"x-ome-signature") or "").rstrip("=").encode("latin-1")
        if not hmac.compare_digest(made, stated):
            raise Problem("forbidden", "X-OME-Signature is not that of this body")

    async def _answer(self, wish: Wish, client: Client) -> dict[str, Any]:
        if wish.direction != "outgoing":
            return {} if wish.status == "closing" else {"allowed": True}
        try:
            await self._take(wish, client.real_ip or client.address)
        except (Problem, StreamlimitError) as error:
            return {"allowed": False, "reason": noted(error, self._tally, "POST", ROUTE).detail}
        return {} if wish.status == "closing" else {"allowed": True, "lifetime": 0}

    async def _take(self, wish: Wish, address: str) -> None:
        stream_id, query = _asked(wish.url)
        caller: Caller = self._seating.identify(in_query(query), address)
        if wish.status != "closing":
            self._holding.hold_if_seated(await self._seating.starts(caller, stream_id, address, ""))
        else:
            await self._seating.stops(caller, stream_id, "", self._holding)


def _asked(url: str) -> tuple[str, str]:
    """The stream and the query in `<scheme>://<host>/<app>/<stream>[/<file>][?query]`. Raises `malformed`."""
    try:
        found = urlsplit(url)
        parts = found.path.split("/")
    except ValueError as error:
        raise wrong_field("url", "is none") from error
    if len(parts) < 3:
        raise wrong_field("url", "names no stream")
    return id_in_path("url", parts[2]), found.query
