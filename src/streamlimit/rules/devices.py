"""The id and the type of a device; a device given as a bare string has that id and no type."""

from streamlimit.model import Device


def device_id(device: str | Device | None) -> str | None:
    """The id of *device*: sessions with equal ids share a device; a session with None shares none."""
    return device.id if isinstance(device, Device) else device


def device_type(device: str | Device | None) -> str:
    """The type of *device*, by which the caps per type count; the empty string where none was given."""
    return (device.type or "") if isinstance(device, Device) else ""
