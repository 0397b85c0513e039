"""By which clock leases are dated: the store's, without asking it. Numbers in, numbers out; all of them in ms.

Each exchange with the store bounds how much its clock is ahead of the worker's: it read it between question and
answer. The worker is in the middle of what all of them leave, so two workers differ by little. And the leases of one
keep the order in which it gave them: where the middle goes back nothing is dated before what it came to until then.
"""

Told = tuple[float, float, float]
"""What one exchange says of the store's clock: ahead at least, ahead at most, and the moment of the answer."""

LONGEST_MS = 500.0
"""No answer takes longer: a store that is slower is taken for an unavailable one."""


def between(told_ms: int, asked_at: float, heard_at: float) -> Told:
    """The store read *told_ms* after it was asked, and before its answer came (seconds of the worker's clock)."""
    heard_ms = heard_at * 1_000
    return told_ms - heard_ms, told_ms + 1 - asked_at * 1_000, heard_ms


def before_long(told_ms: int, asked_at: float) -> Told:
    """As `between`, of an answer that came at an unknown time."""
    return between(told_ms, asked_at, asked_at + LONGEST_MS / 1_000)


def narrowed(low: float, span: float, least_ms: int, told: Told) -> tuple[float, float, int]:
    """Ahead at least, by how much more at most, and the least date, with another exchange.

    The newer one is right where two exclude each other (a clock was set).
    """
    high = low + span
    its_low, its_high, heard_ms = told
    if its_low <= low and high <= its_high:
        return low, span, least_ms  # nothing new, as nearly always
    before = low + span / 2
    low, high = max(low, its_low), min(high, its_high)
    if low > high:
        low, high, _ = told
    if (low + high) / 2 < before:
        least_ms = max(least_ms, int(before + heard_ms))
    return low, high - low, least_ms


def date_ms(now: float, low: float, span: float, least_ms: int) -> int:
    """The store's clock at *now*."""
    return max(int(now * 1_000 + low + span / 2), least_ms)
