"""Listeners to events, refusals and seats, joined to one."""

from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")


def joined(*listeners: Callable[P, None]) -> Callable[P, None]:
    """The listener that calls all *listeners*, in their order."""
    if len(listeners) == 1:
        return listeners[0]

    def notify(*args: P.args, **kwargs: P.kwargs) -> None:
        for listener in listeners:
            listener(*args, **kwargs)

    return notify
