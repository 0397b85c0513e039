"""Breakages of the facade for apps of Adobe Concurrency Monitoring."""

from tests.mutants.mutant import Mutant

ADOBE, WORDS, HOLDING = (
    "streamlimit/edge/adobe.py",
    "streamlimit/edge/adobe_words.py",
    "streamlimit/edge/holding.py",
)
HEARTBEAT, BEATEN = "streamlimit/web/heartbeat.py", ("tests/web/test_heartbeat.py",)
TOLD, HELD = ("tests/edge/test_adobe.py",), ("tests/edge/test_holding.py",)

MUTANTS = [
    Mutant(
        "an app's session expires as others",
        ADOBE,
        "            self._holding.hold(admitted.lease)",
        "            pass",
        TOLD,
    ),
    Mutant("an app's session is held for ever", HOLDING, "self._clock() + self._life", "self._clock() + 10**6", TOLD),
    Mutant("an app's heartbeat starts a session", ADOBE, ", may_start=False)", ")", TOLD),
    Mutant(
        "any id is one that was given",
        ADOBE,
        "if not self._grants.is_sealed(",
        "if False and self._grants.is_sealed(",
        TOLD,
    ),
    Mutant("a stop of who expired is a stop", ADOBE, 'event.type == "session.ended" for', "event.type for", TOLD),
    Mutant("any application may call", ADOBE, "application in known if known else self._is_open", "True", TOLD),
    Mutant(
        "a termination code is the id",
        WORDS,
        "return sha256(session_id.encode()).hexdigest()[:8]",
        "return session_id",
        TOLD,
    ),
    Mutant("an idp's colon is not encoded", WORDS, ' | str.maketrans({":": "%3A"})', "", TOLD),
    Mutant(
        "a held seat that is gone is prolonged on",
        HOLDING,
        "held.lost()\n                    return",
        "held.lost()\n                    continue",
        HELD,
    ),
    Mutant(
        "a player is told to beat as seldom as it expires",
        HEARTBEAT,
        "_seconds(service.policy.segment_ms), ",
        "_seconds(service.policy.expiry_ms), ",
        BEATEN,
    ),
]
