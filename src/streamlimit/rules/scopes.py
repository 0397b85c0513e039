"""Scopes that may be full for a new session: the user's seats, or those of its stream or type of device.

A device given as a bare string has that id and no type.
"""

from msgspec import Struct

from streamlimit.model import Ask, Device
from streamlimit.policy import Policy
from streamlimit.rules.ledger import Seat


class Scope(Struct, frozen=True):
    """Seats that are counted together, and how many there may be."""

    name: str
    seats: list[Seat]
    limit: int


def device_id(device: str | Device | None) -> str | None:
    """The id of *device*: sessions with equal ids share a device; a session with None shares none."""
    return device.id if isinstance(device, Device) else device


def device_type(device: str | Device | None) -> str:
    """The type of *device*, by which the caps per type count; the empty string where none was given."""
    return (device.type or "") if isinstance(device, Device) else ""


def full_scopes(live: list[Seat], limit: int, ask: Ask, policy: Policy) -> list[Scope]:
    """The scopes that are full for the asking session: the user's seats, those for its stream or its type of device."""
    scopes = [Scope("user", live, limit)]
    if policy.max_per_stream is not None:
        same = [seat for seat in live if seat.stream_id == ask.stream_id]
        scopes.append(Scope("stream", same, policy.max_per_stream))
    kind = device_type(ask.device)
    if kind in policy.max_per_device_type:
        alike = [seat for seat in live if device_type(seat.device) == kind]
        scopes.append(Scope("device-type", alike, policy.max_per_device_type[kind]))
    return [scope for scope in scopes if len(scope.seats) >= scope.limit]
