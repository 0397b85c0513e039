"""A cache of what was verified lately, by the text that was verified: two generations, so that forgetting needs no
order.

A generation that is forgotten goes little by little: freeing thousands of values at once would delay a request.
"""

from typing import Generic, TypeVar

K = TypeVar("K", str, bytes)
T = TypeVar("T")

FADING = 2
"""Forgotten values that go with each new one: all are gone before the next generation is."""


class Recent(Generic[K, T]):
    """Remembers at least the newest values whose keys together have *characters* / 2, and never more than that twice.

    A look-up reveals nothing by its time: the keys are found by a hash that is secret to this process.
    """

    def __init__(self, characters: int = 32_000_000) -> None:
        self._room = characters // 2
        self._young: dict[K, T] = {}
        self._old: dict[K, T] = {}
        self._fading: dict[K, T] = {}
        self._size = 0

    def get(self, key: K) -> T | None:
        """The value, if it is still remembered."""
        found = self._young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.put(key, found)
        return found

    def put(self, key: K, value: T) -> None:
        """Remembers *value* for a while."""
        if self._size + len(key) > self._room:
            self._fading, self._old, self._young, self._size = self._old, self._young, {}, 0
        for _ in range(min(len(self._fading), FADING)):
            self._fading.popitem()
        self._young[key] = value
        self._size += len(key) + 64  # what an entry takes beside its text

    def clear(self) -> None:
        """Forgets all."""
        self._young, self._old, self._fading, self._size = {}, {}, {}, 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
