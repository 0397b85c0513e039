"""`GET /v1/reports`: how many were let in and refused, by time and by plan, stream or type of device."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from streamlimit.document import rfc3339, wall_ms
from streamlimit.reporting.document import as_csv, columns_of, row_json
from streamlimit.reporting.span import BadSpan, Now, span_of
from streamlimit.store.reporting import Group, Period
from streamlimit.web.calls import CallerDep, ServiceDep, json_answer
from streamlimit.web.incoming import qualities
from streamlimit.web.problems import wrong_field
from streamlimit.web.spelling import require_text

router = APIRouter(tags=["operator"])

MOST_ROWS = 20_000

By = Literal["hour", "day", "month", "hour-of-day"]
Grouped = Literal["plan", "stream", "device_type"]
Moment = Annotated[str | None, Query(max_length=64, description="a date, or RFC 3339; by UTC")]


@router.get("/v1/reports")
async def get_reports(
    request: Request,
    service: ServiceDep,
    _reader: CallerDep,
    begin: Annotated[Moment, Query(alias="from")] = None,
    end: Annotated[Moment, Query(alias="to")] = None,
    by: By = "hour",
    group: Grouped | None = None,
) -> Response:
    """Numbers by hour, day, month or hour of the day; users are counted once, however often their players retry.

    As JSON, or with `Accept: text/csv` as CSV. Without `from` and `to`: the last day by hour, the last month by day.
    """
    require_text(request.scope["query_string"])
    period, grouped = Period(by), Group(group or Group.ALL)
    if period is Period.CLOCK and grouped not in (Group.ALL, Group.PLAN):
        raise wrong_field("group", "by hour-of-day is kept for all users and by plan only")
    try:
        span = span_of(begin, end, period, Now(wall_ms(), service.reporter.keep_days))
    except BadSpan as error:
        raise wrong_field(error.field, error.wrong) from error
    found = await service.reporter.rows(period, grouped, *span.looked_at, MOST_ROWS + 1)
    if len(found) > MOST_ROWS:
        raise wrong_field("from", f"that are more than {MOST_ROWS} rows: ask for less time")
    rows = [row_json(row, period, grouped) for row in found]
    if _wants_csv(request.headers.get("accept", "")):
        return _csv_answer(as_csv(rows, columns_of(period, grouped)))
    asked = {"from": rfc3339(span.from_ms), "to": rfc3339(span.to_ms), "by": by, "group": group}
    return json_answer({**asked, "rows": rows})


def _csv_answer(text: str) -> Response:
    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="report.csv"'}
    return Response(text, headers=headers, media_type="text/csv; charset=utf-8")


def _wants_csv(accept: str) -> bool:
    """Is CSV named, and JSON not wanted more?"""
    wanted = qualities(accept)
    csv = wanted.get("text/csv", 0.0)
    return csv > 0 and csv >= wanted.get("application/json", 0.0)
