"""`POST /edge/reports`: batches of delivery reports."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from streamlimit.edge.original import without_origin
from streamlimit.edge.reported import Report, Reported, in_order, latest, milliseconds
from streamlimit.http.request import Request
from streamlimit.web.forms import malformed
from streamlimit.web.incoming import body_of, require_json, require_method
from streamlimit.web.outgoing import Reply, json_reply
from streamlimit.web.problems import wrong_field
from streamlimit.web.service import Service

ROUTE, CALL = "/edge/reports", "POST /edge/reports"
MAX_REPORTS = 1_000
MAX_BYTES = 4 * 1024 * 1024
"""Most bytes of a batch: the largest batch, with ordinary grants and paths, takes a tenth of it."""


class ReportForm(Struct, frozen=True, forbid_unknown_fields=True):
    """One report of a batch."""

    path: Annotated[str, Meta(min_length=1)]  # however long: an edge reports whatever it was asked for
    complete: bool
    grant: Annotated[str, Meta(min_length=1, max_length=8_300)] | None = None
    at: str | int | float | None = None
    status: Annotated[int, Meta(ge=100, le=999)] | None = None
    bytes: Annotated[int, Meta(ge=0)] | None = None


_decode = msgspec.json.Decoder(Annotated[list[ReportForm], Meta(max_length=MAX_REPORTS)]).decode


class Reports:
    """The handler of batches of delivery reports; errors are raised, not sent."""

    def __init__(self, service: Service, reported: Reported) -> None:
        self._proxies, self._authenticator, self._reported = service.proxies, service.authenticator, reported

    async def __call__(self, request: Request) -> Reply:
        require_method(request, "POST")
        # What is forwarded for a client, perhaps of an `unknown` address, is no report of the edge itself.
        if request.fields.get(b"x-forwarded-for") or not self._proxies.ask_themselves(request):
            (await self._authenticator.identify(request.fields.get(b"authorization"))).require(CALL)
        require_json(request)
        reports = read_reports(body_of(request, MAX_BYTES))
        gone = await in_order(latest(reports), self._reported.note)
        return json_reply({"gone": list(dict.fromkeys(grant for grant in gone if grant is not None))})


def read_reports(body: bytes) -> list[Report]:
    """The reports in *body*. Raises `malformed`: no report counts where one is wrong."""
    try:
        forms = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error)) from error
    return [_read(number, form) for number, form in enumerate(forms)]


def _read(number: int, form: ReportForm) -> Report:
    path = without_origin(form.path)
    if form.grant is None and not path.startswith("/"):
        raise wrong_field(f"[{number}].grant", "is missing, and the path is not the request's")
    try:
        at_ms = None if form.at is None else milliseconds(form.at)
    except (ValueError, OverflowError) as error:
        raise wrong_field(f"[{number}].at", "give RFC 3339 or seconds of the epoch") from error
    return Report(path, form.complete, form.grant, at_ms, form.status, form.bytes)
