"""A device's id and type: a bare string in its place is its id, and tells no type."""

from streamlimit.model import Device


def device_id(device: str | Device | None) -> str | None:
    """The id by which two sessions are of one device; None: they never are."""
    return device.id if isinstance(device, Device) else device


def device_type(device: str | Device | None) -> str:
    """The type by which sessions are counted together; all that tell none are of one, the empty one."""
    return (device.type or "") if isinstance(device, Device) else ""
