"""A heartbeat's answer is written in a way of its own; it says what every other answer says of a session."""

import msgspec
import pytest

from streamlimit.document import session_json
from streamlimit.model import Device, Session, State
from streamlimit.web.heartbeat import shown

STARTED = Session("s", "u", "news", State.STARTING, None, None, None, 1_750_000_000_001, None, 1_750_000_006_000, 7, 0)
DEVICE = Device("tv", "Wohnzimmer", None)
ACTIVE = Session("s", "u", "news", State.ACTIVE, DEVICE, "a/ř.m4s", 3, 1_750_000_000_001, 1_750_000_000_999, 1, 7, 2)


@pytest.mark.parametrize("session", [STARTED, ACTIVE])
def test_it_is_the_same_to_the_letter(session: Session) -> None:
    assert shown(session) == msgspec.json.encode(session_json(session))
