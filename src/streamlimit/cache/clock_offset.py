"""The offset of the store's clock from a worker's: it dates leases without a question. Pure; all numbers are ms.

Each exchange bounds the offset, since the store read its clock between question and answer. A worker takes the middle
of the intersection of these bounds, so two workers differ by little. The leases of one worker keep their order: where
the middle goes back, no lease is dated before an earlier one.
"""

Bounds = tuple[float, float, float]
"""Bounds of one exchange: the least and the greatest offset (ms), and when the answer came (ms of the worker's clock).
"""

LONGEST_MS = 500.0
"""The longest time that an answer takes: a slower store counts as unavailable."""


def exchange_bounds(store_ms: int, asked_at: float, answered_at: float) -> Bounds:
    """The bounds of an exchange from *asked_at* to *answered_at* (s), in which the store's clock read *store_ms*."""
    answered_ms = answered_at * 1_000
    return store_ms - answered_ms, store_ms + 1 - asked_at * 1_000, answered_ms


def loose_bounds(store_ms: int, asked_at: float) -> Bounds:
    """As `exchange_bounds`, for an answer that came at an unknown time within `LONGEST_MS`."""
    return exchange_bounds(store_ms, asked_at, asked_at + LONGEST_MS / 1_000)


def narrowed(low: float, span: float, least_ms: int, bounds: Bounds) -> tuple[float, float, int]:
    """The least offset, its span, and the least date of a lease (ms), narrowed by the *bounds* of another exchange.

    Where the bounds exclude each other (a clock was set) the newer ones hold.
    """
    high = low + span
    its_low, its_high, answered_ms = bounds
    if its_low <= low and high <= its_high:
        return low, span, least_ms  # nothing new, as nearly always
    before = low + span / 2
    low, high = max(low, its_low), min(high, its_high)
    if low > high:
        low, high, _ = bounds
    if (low + high) / 2 < before:
        least_ms = max(least_ms, int(before + answered_ms))
    return low, high - low, least_ms


def date_ms(now: float, low: float, span: float, least_ms: int) -> int:
    """The store's clock in ms at *now* (s of the worker's clock), no earlier than *least_ms*."""
    return max(int(now * 1_000 + low + span / 2), least_ms)
