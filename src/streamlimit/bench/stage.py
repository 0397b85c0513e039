"""The stage of a run, read from the service beforehand: streams, limit, lifetime of a seat."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streamlimit.bench.calls import Answer, Calls

NO_STREAM = "bench"
"""The stream id of heartbeats to a service without streams, which accepts any."""

PACE_OF_LIFETIME = 3
"""The least number of requests in the lifetime of a seat: with fewer, viewers of long segments would lose it."""


WORDS = {
    401: "wants a credential, or another one: give a service or operator key with --key",
    403: "does not let that key act for every user: give a service or operator key with --key",
    503: "is there, but its store does not answer",
}


class NotReady(Exception):
    """The service cannot be measured; the text says why."""


@dataclass(frozen=True)
class Stage:
    """The stage. *lifetime*: seconds that a receipt keeps a seat (n·X); *pace*: seconds between segments at speed 1."""

    streams: tuple[str, ...]
    limit: int
    lifetime: float
    pace: float

    @property
    def has_segments(self) -> bool:
        """Does the service deliver streams? Else all requests are heartbeats."""
        return bool(self.streams)


async def find_stage(calls: Calls, user_id: str) -> Stage:
    """Reads the stage from the service, as a user with one session, which is ended. Raises `NotReady`."""
    try:
        return await _find(calls, user_id)
    except (KeyError, TypeError, ValueError) as error:
        raise NotReady("does not answer as streamlimit does") from error


async def _find(calls: Calls, user_id: str) -> Stage:
    listed = _checked(await calls.ask("streams", "GET", "/v1/streams"))["streams"]
    playable = [each for each in listed if each["live"] or each["segments"]]
    streams = tuple(each["stream_id"] for each in playable)
    session = f"/v1/users/{user_id}/sessions/probe"
    try:
        form = {"stream_id": streams[0] if streams else NO_STREAM}
        lifetime = _lifetime(_checked(await calls.ask("heartbeat", "POST", f"{session}/heartbeat", form)))
        listing = _checked(await calls.ask("look", "GET", f"/v1/users/{user_id}/sessions"))
    finally:
        await calls.ask("end", "POST", f"{session}/end")
    paces = [float(each["segment_seconds"]) for each in playable if each["segment_seconds"]]
    return Stage(streams, int(listing["limit"]), lifetime, min([lifetime / PACE_OF_LIFETIME, *paces]))


def _checked(answer: Answer) -> Any:
    """The document of *answer*. Raises `NotReady`."""
    if answer.status == 0:
        raise NotReady(f"cannot be reached; is it running? ({answer.problem or answer.code})")
    if answer.status == 404:
        raise NotReady("has no API of streamlimit; give its address without a page, such as /watch")
    if answer.status in WORDS:
        raise NotReady(WORDS[answer.status])
    if answer.status != 200:
        raise NotReady(f"answers {answer.status} {answer.code}".rstrip() + ", where it should answer 200")
    return answer.document


def _lifetime(session: Any) -> float:
    last, expires = (datetime.fromisoformat(session[name]) for name in ("last_activity_at", "expires_at"))
    lifetime = (expires - last).total_seconds()
    if lifetime <= 0:
        raise NotReady("keeps no seat for any time")
    return lifetime
