"""The memory of what was verified: bounded, and the newest stay."""

from weakref import WeakSet

from streamlimit.web.recent import FADING, Recent


class Value:
    """Something that is seen to go."""


def test_the_newest_stay_and_there_are_never_too_many() -> None:
    recent: Recent[str, int] = Recent(characters=10_000)
    for n in range(1_000):
        recent.put(f"key-{n:04}", n)
        assert recent.get(f"key-{n:04}") == n
    assert recent.get("key-0000") is None
    assert all(recent.get(f"key-{n:04}") == n for n in range(950, 1_000))
    assert len(recent) <= 10_000 // (8 + 64) + 1


def test_what_is_asked_for_again_and_again_stays() -> None:
    recent: Recent[str, int] = Recent(characters=10_000)
    recent.put("mine", 7)
    for n in range(1_000):
        recent.put(f"key-{n:04}", n)
        assert recent.get("mine") == 7


def test_long_texts_make_few() -> None:
    recent: Recent[str, int] = Recent(characters=10_000)
    for n in range(100):
        recent.put(str(n) * 4_000, n)
    assert len(recent) <= 3


def test_all_can_be_forgotten() -> None:
    recent: Recent[str, int] = Recent()
    recent.put("a", 1)
    recent.clear()
    assert recent.get("a") is None
    assert len(recent) == 0


def test_what_is_forgotten_goes_little_by_little() -> None:
    """Thousands at once would take milliseconds, in which nobody is answered."""
    recent: Recent[str, Value] = Recent(characters=10_000)
    alive, before, most = WeakSet[Value](), 0, 0
    for n in range(1_000):
        value = Value()
        alive.add(value)
        recent.put(f"key-{n:04}", value)
        del value
        most = max(most, before + 1 - len(alive))
        before = len(alive)
    assert most == FADING
    assert len(alive) < 1.6 * len(recent), "and is gone before the next generation is"
