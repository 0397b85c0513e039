"""A cache of verified texts with two generations, so that eviction needs no order.

An evicted generation is freed little by little: freeing thousands of values at once would delay a request.
"""

from typing import Generic, TypeVar

K = TypeVar("K", str, bytes)
T = TypeVar("T")

FADING = 2
"""Evicted values that are freed with each new one: all are freed before the next generation is evicted."""


class Recent(Generic[K, T]):
    """A cache of the newest values: keys of *characters* / 2 in all at least, and of *characters* at most.

    Look-ups are safe from timing attacks: keys are found by a hash that is secret to this process.
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
        """Caches *value* under *key*."""
        if self._size + len(key) > self._room:
            self._fading, self._old, self._young, self._size = self._old, self._young, {}, 0
        for _ in range(min(len(self._fading), FADING)):
            self._fading.popitem()
        self._young[key] = value
        self._size += len(key) + 64  # what an entry takes beside its text

    def clear(self) -> None:
        """Removes all values."""
        self._young, self._old, self._fading, self._size = {}, {}, {}, 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
