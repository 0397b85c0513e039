"""Who watches with whom: one seat a device, plays of one session, visits."""

from tests.mutants.mutant import Mutant

ADMIT = "streamlimit/rules/admit.py"
DEVICES = ("tests/store/test_sqlite.py", "-k", "TestSqliteStore and device")

MUTANTS = [
    Mutant(
        "a device's next session waits for its silence",
        ADMIT,
        "return policy.reclaim_device is Reclaim.ALWAYS and _is_of_device(seat, ask)",
        "return False",
        DEVICES,
    ),
    Mutant(
        "a heartbeat starts a second session of a device",
        "streamlimit/rules/beat.py",
        "    if ask.device is not None and policy.reclaim_device is Reclaim.ALWAYS:\n",
        "    if False:\n",
        DEVICES,
    ),
    Mutant(
        "sessions without a device are one device",
        ADMIT,
        "return device_id is not None and device_id == _device_id(seat.device)",
        "return device_id == _device_id(seat.device)",
        DEVICES,
    ),
]
