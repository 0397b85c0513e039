"""The keys of grants, which workers share through the store: whatever it loses, each verifies what any has signed."""

from itertools import permutations

import pytest

from streamlimit.bootstrap.access import KEYS_KEPT, share_key
from streamlimit.policy import Policy
from streamlimit.store.memory import Memory, MemoryStore
from streamlimit.web.grants import BadGrant, Grants

MEMORY_KEY = "grant-key"


def key(number: int) -> str:
    return f"the-key-of-worker-{number:03}-and-no-other"


def worker() -> Grants:
    return Grants([], 60)


async def test_a_worker_that_starts_while_the_store_has_no_key_learns_the_others() -> None:
    """It makes one of its own, before any of the others has given the store theirs again."""
    memory = Memory()
    store = MemoryStore(Policy(), memory=memory)
    old, other, new = worker(), worker(), worker()
    await share_key(old, store)
    await share_key(other, store)
    text = old.sign("ann", "tv")
    memory.secrets.clear()
    await share_key(new, store)
    with pytest.raises(BadGrant):
        new.verify(text)
    for each in (old, new, other):
        await share_key(each, store)
    later = worker()
    await share_key(later, store)
    assert set(old.texts) == set(new.texts) == set(other.texts) == set(later.texts)
    assert len(later.texts) == 2
    assert old.texts[0] == new.texts[0] == other.texts[0] == later.texts[0]
    assert later.verify(text).user_id == new.verify(text).user_id == "ann"
    assert old.verify(new.sign("bob", "tv")).user_id == "bob"


@pytest.mark.parametrize("order", permutations(range(3)))
async def test_in_whatever_order_they_look_all_find_the_same(order: tuple[int, ...]) -> None:
    store = MemoryStore(Policy())
    a, b, c = (letter * 32 for letter in "abc")
    workers = [Grants(keys, 60) for keys in ([a, b], [b, c], [c])]
    for _ in range(2):
        for number in order:
            await share_key(workers[number], store)
    assert [sorted(each.texts) for each in workers] == [[a, b, c]] * 3
    assert len({each.texts[0] for each in workers}) == 1


async def test_a_key_that_was_made_for_nothing_is_nobodys() -> None:
    """A worker that finds one in the store forgets what it made."""
    memory = Memory()
    store = MemoryStore(Policy(), memory=memory)
    for _ in range(3):
        await share_key(worker(), store)
    assert list(memory.secrets) == [MEMORY_KEY]


async def test_there_are_no_more_than_so_many() -> None:
    """And a worker whose own is one too many goes on to know it."""
    store, late = MemoryStore(Policy()), worker()
    for number in range(2 * KEYS_KEPT):
        own = Grants([key(number)], 60)
        await share_key(own, store)
        assert {key(0), key(number)} <= set(own.texts)
        assert own.texts[0] == key(0)
    await share_key(late, store)
    assert late.texts == [key(number) for number in range(KEYS_KEPT)]
