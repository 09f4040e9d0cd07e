"""Protocol buffers' wire format: reading the fields of a message, and writing them, without a schema.

Written here rather than taken from a package: a hundred lines of Python read a hostile file without harm, need nothing
installed, and never look for the other files that an ONNX model may name.
"""

from collections.abc import Iterator
from struct import pack, unpack

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5
LONGEST_VARINT = 10
"""Bytes of an integer of 64 bits."""
Field = tuple[int, int | memoryview]
"""The number of a field, and its value: an integer, or bytes."""


class DamagedError(ValueError):
    """The bytes are no message."""


def fields(message: memoryview) -> Iterator[Field]:
    """The fields of a message in their order. Raises DamagedError."""
    place, end = 0, len(message)
    while place < end:
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == BYTES:
            length, place = _varint(message, place)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            length = 8 if kind == EIGHT_BYTES else 4
        else:
            raise DamagedError(f"a field of the unknown kind {kind}")
        if length > end - place:
            raise DamagedError("a field longer than its message")
        yield number, message[place : place + length]
        place += length


def integers(value: int | memoryview) -> list[int]:
    """A repeated integer: one of several fields, or packed into one."""
    if isinstance(value, int):
        return [signed(value)]
    found, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        found.append(signed(number))
    return found


def signed(value: int | memoryview) -> int:
    """An int64, which is stored as unsigned."""
    if not isinstance(value, int):
        raise DamagedError("an integer is wanted")
    return value - (1 << 64) if value >> 63 else value


def number(value: int | memoryview) -> float:
    """A float32."""
    if isinstance(value, int) or len(value) != 4:
        raise DamagedError("a float is wanted")
    return float(unpack("<f", value)[0])


def content(value: int | memoryview) -> memoryview:
    """The bytes of a message, a string or packed numbers."""
    if isinstance(value, int):
        raise DamagedError("bytes are wanted")
    return value


def text(value: int | memoryview) -> str:
    """A string."""
    return bytes(content(value)).decode("utf-8", "replace")


def varint(value: int) -> bytes:
    """An integer as it is written; a negative one as its 64 bits."""
    value &= (1 << 64) - 1
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def put_integer(field: int, value: int) -> bytes:
    """A field with an integer, an enumerator or a truth value."""
    return varint(field << 3 | VARINT) + varint(value)


def put_double(field: int, value: float) -> bytes:
    """A field with a float64."""
    return varint(field << 3 | EIGHT_BYTES) + pack("<d", value)


def put_bytes(field: int, value: bytes | str) -> bytes:
    """A field with a message, a string, bytes or packed numbers."""
    content = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return varint(field << 3 | BYTES) + varint(len(content)) + content


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """An unsigned integer, and the place after it."""
    found = 0
    for count in range(LONGEST_VARINT):
        if place == len(message):
            raise DamagedError("a truncated integer")
        byte = message[place]
        place += 1
        found |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return found & (1 << 64) - 1, place
    raise DamagedError("an integer of more than 64 bits")
