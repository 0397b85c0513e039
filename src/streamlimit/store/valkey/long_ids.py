"""Packing of ids of 256 bytes into 255, the most that a ledger's length byte can express. Such ids are rare.

An id has at most 128 characters, so at least half of these bytes are UTF-8 continuation bytes, which begin with the
bits 10. Of the first eight of them only the other six bits are kept.
"""

TAG = b"\xfe"  # never the first byte of UTF-8
TOO_LONG, SHORTENED = 256, 8
_LOW = 0b11_1111


def shorten(raw: bytes) -> bytes:
    """*raw*, 256 bytes of UTF-8, in 255."""
    places = [place for place, byte in enumerate(raw) if _goes_on(byte)][:SHORTENED]
    bits = sum((raw[place] & _LOW) << 6 * number for number, place in enumerate(places))
    rest = bytes(byte for place, byte in enumerate(raw) if place not in places)
    return TAG + bits.to_bytes(6, "little") + rest


def lengthen(packed: bytes) -> bytes:
    """The inverse of `shorten`."""
    bits, raw, left = int.from_bytes(packed[1:7], "little"), bytearray(), SHORTENED
    for byte in packed[7:]:
        raw.append(byte)
        for _ in range(min(_following(byte), left)):
            raw.append(bits & _LOW | 0b1000_0000)
            bits, left = bits >> 6, left - 1
    return bytes(raw)


def _goes_on(byte: int) -> bool:
    return byte >> 6 == 0b10


def _following(byte: int) -> int:
    """The number of continuation bytes after the lead byte *byte*."""
    return 0 if byte < 0xC0 else 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3
