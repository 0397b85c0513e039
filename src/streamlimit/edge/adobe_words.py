"""The formats of Adobe Concurrency Monitoring: paths and metadata of requests, advice and dates of answers."""

from email.utils import formatdate
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from streamlimit.document import rfc3339
from streamlimit.ids import SLASHES_ENCODED
from streamlimit.model import Device, Mark, Refusal, Roster, Session
from streamlimit.web.forms import require_id
from streamlimit.web.problems import Problem, wrong_field

UNKNOWN = "Unknown"
"""The hosted product's value for metadata that the app did not send."""

MAX_LABEL, MAX_PAIRS = 128, 200
IDP = SLASHES_ENCODED | str.maketrans({":": "%3A"})
"""The encoding of an identity provider, behind which a colon and the subject follow."""

METADATA_WANTED = {
    "associatedAdvice": [],
    "obligations": {"namespace": "adobe.primetime.cm", "action": "refresh", "arguments": ["metadata"]},
}


def user_of(idp: str, subject: str) -> str:
    """`idp:subject`, from their parts of the path as sent. Raises `malformed`."""
    return require_id("subject", f"{_spelled(idp).translate(IDP)}:{_spelled(subject).translate(SLASHES_ENCODED)}")


def _spelled(part: str) -> str:
    try:
        return unquote_to_bytes(part).decode()
    except UnicodeDecodeError as error:
        raise wrong_field("subject", "is not UTF-8, percent-encoded") from error


def metadata_of(query: bytes, body: bytes) -> dict[str, str]:
    """The metadata by name, from the body before the query; of several values the first. Raises `malformed`."""
    found: dict[str, str] = {}
    try:
        for text in (body.decode(), query.decode()):
            for name, value in parse_qsl(text, errors="strict", max_num_fields=MAX_PAIRS):
                found.setdefault(name, value)
    except ValueError as error:  # not UTF-8, or more pairs than anyone needs
        raise Problem("malformed", "the metadata is no form of UTF-8 names and values") from error
    return found


def stream_of(channel: str) -> str:
    """The stream id for an app's *channel*. Raises `malformed`."""
    return require_id("stream_id", channel.translate(SLASHES_ENCODED))


def device_of(metadata: dict[str, str]) -> Device | None:
    """The device in an app's metadata."""
    labels = (metadata.get(name, "")[:MAX_LABEL] or None for name in ("deviceId", "deviceName", "platform"))
    device = Device(*labels)
    return None if device == Device() else device


def termination_code(session_id: str) -> str:
    """A short code that names a session and cannot be used as its id."""
    return sha256(session_id.encode()).hexdigest()[:8]


def session_called(codes: str, roster: Roster) -> str | None:
    """The session of the first of *codes* that names one with a seat; None: there is none."""
    sitting = {termination_code(session.session_id): session.session_id for session in roster.sessions}
    return next((sitting[code] for code in codes.replace(",", " ").split() if code in sitting), None)


def running(roster: Roster) -> dict[str, Any]:
    """The body of `runningStreams`."""
    streams = [
        {
            "sessionId": session.session_id,
            "startTime": session.started_at_ms,
            "applicationId": UNKNOWN,
            "applicationName": UNKNOWN,
            "terminationCode": termination_code(session.session_id),
            "metadata": _metadata(session),
        }
        for session in roster.sessions
    ]
    return {"runningStreams": streams, "otherStreams": 0}


def rule_violation(refusal: Refusal, detail: str) -> dict[str, Any]:
    """The body of a 409."""
    conflicts = {
        session.session_id: [
            {
                "terminationCode": termination_code(session.session_id),
                "metadata": _metadata(session),
                **_shown(session),
            }
        ]
        for session in refusal.sessions
    }
    limit = refusal.limit if refusal.scope_limit is None else refusal.scope_limit
    advice = {
        "type": "rule-violation",
        "message": detail,
        "policyName": "streamlimit",
        "ruleName": refusal.code if refusal.scope == "user" else f"{refusal.code} ({refusal.scope})",
        "threshold": limit,
        "conflicts": conflicts,
    }
    return {"associatedAdvice": [advice], "obligations": []}


def remote_termination(mark: Mark, roster: Roster) -> dict[str, Any]:
    """The body of a 410 where the session was terminated."""
    by = roster.find(mark.by_session_id)
    unknown = {"channel": UNKNOWN, "startedAt": rfc3339(mark.at_ms), "applicationName": UNKNOWN}
    terminator = unknown | {"deviceName": _name(mark.by_device)} if by is None else _shown(by)
    advice = {
        "type": "remote-termination",
        "message": f"terminated by {mark.by}: {mark.reason}",
        "terminator": terminator,
    }
    return {"associatedAdvice": [advice], "obligations": []}


def http_date(seconds: float) -> str:
    """A time in the form of HTTP headers."""
    return formatdate(seconds, usegmt=True)


def _metadata(session: Session) -> dict[str, str]:
    device = session.device
    found = {"channel": session.stream_id}
    if isinstance(device, Device):
        fields = {"deviceId": device.id, "deviceName": device.name, "platform": device.type}
        found |= {name: value for name, value in fields.items() if value is not None}
    return found


def _shown(session: Session) -> dict[str, str]:
    return {
        "channel": session.stream_id,
        "startedAt": rfc3339(session.started_at_ms),
        "deviceName": _name(session.device),
        "applicationName": UNKNOWN,
    }


def _name(device: str | Device | None) -> str:
    if isinstance(device, Device):
        return device.name or device.id or UNKNOWN
    return device or UNKNOWN
