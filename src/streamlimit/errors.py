"""All exceptions of streamlimit, in one closed tree. Decisions are values (model.py), not errors."""

from collections.abc import Sequence

from streamlimit.model import Admitted, Ask, Decision, Refusal


class StreamlimitError(Exception):
    """The base of all errors of streamlimit. *others*: further errors, where several things were checked."""

    others: "Sequence[StreamlimitError]" = ()


class Refused(StreamlimitError):
    """Raised by `Limiter.lease` when the session is refused; `refusal`: why; `ask`: the question."""

    def __init__(self, refusal: Refusal, ask: Ask | None = None) -> None:
        super().__init__(f"{refusal.code}: {refusal.live} of {refusal.limit} seats taken")
        self.refusal, self.ask = refusal, ask


def admission(decision: Decision, ask: Ask) -> Admitted:
    """The admission that *decision* is. Raises `Refused` where it is none."""
    if isinstance(decision, Refusal):
        raise Refused(decision, ask)
    return decision


class StoreUnavailable(StreamlimitError):
    """The store did not answer in time. It is unknown what it did."""


class StoreLocked(StoreUnavailable):
    """The store's file cannot be used as long as another process holds it."""


class StoreHindered(StoreUnavailable):
    """The store's file cannot be opened for a temporary reason: its disk is full, fails, or is read-only."""


class SettingsError(StreamlimitError):
    """A wrong setting: its name, and what is wrong."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name, self.problem = name, problem


def several(found: Sequence[StreamlimitError]) -> StreamlimitError:
    """The errors *found* as one: a wrong setting, if there is any, with the rest as its `others`."""
    first, *others = sorted(found, key=lambda each: not isinstance(each, SettingsError))
    first.others = others
    return first


class CatalogError(StreamlimitError):
    """The stream cannot be served; the text says why, for the operator."""


class BadCursor(StreamlimitError):
    """The cursor was not made by the store."""


class UnknownSession(StreamlimitError):
    """There is no session of that id (any more)."""


class UnknownStream(StreamlimitError):
    """There is no stream of that id."""


class UnknownSegment(StreamlimitError):
    """The stream has no such file or segment."""


class OriginFailed(StreamlimitError):
    """The origin answered with something that is not the segment."""


class OriginTimeout(OriginFailed):
    """The origin did not answer in time."""
