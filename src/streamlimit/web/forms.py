"""The JSON that viewers send, as typed forms; an error names the field (`malformed`)."""

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from streamlimit.ids import MAX_CHARACTERS, PATTERN, wrong_with_id
from streamlimit.model import Device, Label, Terms
from streamlimit.terms import NOTE_CHARACTERS, BadTerms, terms_of
from streamlimit.web.problems import Problem, wrong_field

ID_SCHEMA = {"minLength": 1, "maxLength": MAX_CHARACTERS, "pattern": f"^{PATTERN}$"}
Id = Annotated[str, Meta(extra_json_schema=ID_SCHEMA)]
"""An id in a form. The decoder takes any text; `Reader` checks it, and says what is wrong."""

IDS = ("user_id", "session_id", "stream_id", "replace")
"""Fields that hold ids, in every form."""

SegmentName = Annotated[str, Meta(min_length=1, max_length=1024)]
T = TypeVar("T", bound=Struct)

_SHOWN = 200

_FIELD, _PLACE = re.compile(r"field `([^`]*)`"), re.compile(r"at `\$\.?([^`]*)`$")
"""Where a decoder's error is: the field that is unknown or missing, and the member that it is in, or that is wrong."""

_half_a_pair = re.compile("[\ud800-\udfff]").search


class SessionForm(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/sessions`."""

    user_id: Id
    stream_id: Id
    session_id: Id | None = None
    device: Label | Device | None = None
    replace: Id | None = None
    plan: Label | None = None


class HeartbeatForm(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST …/heartbeat`. `grant`: the credential of a beacon, which has no headers. `segment`: where the player is."""

    stream_id: Id
    plan: Label | None = None
    grant: str | None = None
    segment: SegmentName | None = None
    device: Label | Device | None = None
    replace: Id | None = None


class EndForm(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST …/end`. `keep_grant`: only the seat is given back."""

    grant: str | None = None
    keep_grant: bool = False


class LimitForm(Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT …/limit`. `until`: RFC 3339, in the future; without it the limit holds for good."""

    max_sessions: Annotated[int, Meta(ge=1, le=64)]
    until: Annotated[datetime, Meta(tz=True)] | None = None
    note: Annotated[str, Meta(max_length=NOTE_CHARACTERS)] = ""

    def terms(self, wall_ms: int) -> Terms:
        """The terms of the limit at *wall_ms*. Raises `malformed`, naming the field."""
        try:
            return terms_of(self.until, self.note, wall_ms)
        except BadTerms as error:
            raise Problem("malformed", str(error), {"field": error.field}) from error


class ExpirationForm(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/expirations`."""

    max_seconds: Annotated[float, Meta(gt=0, le=900)] | None = None


class Reader:
    """Decoders of the forms, made once, with the fields that are ids."""

    def __init__(self) -> None:
        self._known: dict[type[Any], tuple[msgspec.json.Decoder[Any], tuple[str, ...]]] = {}

    def read(self, form: type[T], body: bytes) -> T:
        """The form in *body*. Raises `malformed`, naming the field."""
        known = self._known.get(form)
        if known is None:
            ids = tuple(field.name for field in msgspec.structs.fields(form) if field.name in IDS)
            known = self._known[form] = msgspec.json.Decoder(form), ids
        decoder, ids = known
        try:
            found: T = decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            halved = _with_half_a_pair(body, (field.name for field in msgspec.structs.fields(form)))
            raise (malformed(str(error)) if halved is None else halved) from error
        for name in ids:
            value = getattr(found, name)
            if value is not None:
                require_id(name, value)
        return found


read_form = Reader().read


def read_end_form(body: bytes) -> EndForm:
    """The form in a beacon's body, of any content type. A body without the form's fields counts as empty."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return EndForm()
    return read_form(EndForm, body) if fields.keys() & {"grant", "keep_grant"} else EndForm()


def require_id(name: str, value: str) -> str:
    """*value*, if it is an id. Raises `malformed`, with the reason."""
    wrong = wrong_with_id(value)
    if wrong is not None:
        raise wrong_field(name, wrong)
    return value


def _with_half_a_pair(body: bytes, names: Iterable[str]) -> Problem | None:
    """The problem of a text with half a surrogate pair, which the decoder takes for broken JSON."""
    try:
        found = json.loads(body.decode())
    except (ValueError, RecursionError):
        return None
    for name in names if isinstance(found, dict) else ():
        if isinstance(found.get(name), str) and _half_a_pair(found[name]):
            return wrong_field(name, "holds half a surrogate pair, which is no character")
    return None


def malformed(text: str) -> Problem:
    """The problem for a decoder's error *text*."""
    places = [match[1] for match in (_PLACE.search(text), _FIELD.search(text)) if match]
    if not places:
        return Problem("malformed", text[:_SHOWN])
    field = ".".join(places)
    return Problem("malformed", text[:_SHOWN], {"field": field[:_SHOWN]})  # a caller's own word, of any length
