"""TensorBoard's event files: TFRecords of protobuf messages (tensorflow/core/util/event.proto)."""

import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from cnncli.protobuf import DamagedError, content, fields, put_bytes, put_double, put_integer, signed, text
from cnncli.system import atomic

PREFIX = "events.out.tfevents."
"""TensorBoard reads the files of a folder with this in their names, in the order of the names."""
MASK = 0xA282EAD8
FILE_VERSION, GRAPH, SUMMARY, SESSION = 3, 4, 5, 7
"""Fields of an Event; before them its wall time, and its step."""
START = put_integer(1, 1)
"""A SessionLog with which each file begins: from the second on, it makes TensorBoard drop the points that it has."""


def _table() -> tuple[int, ...]:
    """CRC32C (Castagnoli) of each byte, reflected."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRCS = _table()


def masked_crc(data: bytes) -> int:
    """The checksum of a TFRecord: CRC32C, rotated and shifted."""
    crc, table = 0xFFFFFFFF, _CRCS
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return (crc >> 15 | crc << 17 & 0xFFFFFFFF) + MASK & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """A TFRecord: length, its checksum, data, their checksum."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, struct.pack("<I", masked_crc(length)), data, struct.pack("<I", masked_crc(data))))


def records(file: bytes) -> Iterator[bytes]:
    """The data of each record, up to the first that is damaged or cut off; their own checksums are not looked at."""
    place = 0
    while place + 16 <= len(file):
        length = file[place : place + 8]
        (size,) = struct.unpack("<Q", length)
        end = place + 16 + size
        if end > len(file) or struct.unpack("<I", file[place + 8 : place + 12])[0] != masked_crc(length):
            return
        yield file[place + 12 : end - 4]
        place = end


def message(field: int, value: bytes | str, step: int = 0) -> bytes:
    """An Event."""
    return put_double(1, time.time()) + put_integer(2, step) + put_bytes(field, value)


def point(data: bytes) -> tuple[int, str] | None:
    """The step and the first tag of an Event with a summary; None for another. Raises DamagedError."""
    step, tag = 0, None
    for number, value in fields(memoryview(data)):
        if number == 2:
            step = signed(value)
        elif number == SUMMARY:
            first = next((inner for key, inner in fields(content(value)) if key == 1), memoryview(b""))
            tag = next((text(inner) for key, inner in fields(content(first)) if key == 1), "")
    return None if tag is None else (step, tag)


class EventFile:
    """The event file of a folder, which has one.

    A resumed run gets a new one, which begins with those points of the old one that `keeps(step, tag)`; `last` is the
    last step of each tag among them. The old one is removed at the end, because TensorBoard may be reading it, and goes
    on to the next file only from one that is there; the new one tells it to forget what it has read.
    """

    def __init__(self, folder: Path, keeps: Callable[[int, str], bool]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        before = sorted(folder.glob(f"{PREFIX}*"))
        stamp = int(time.time())
        parts = [record(message(FILE_VERSION, "brain.Event:2")), record(message(SESSION, START))]
        self.last: dict[str, int] = {}
        if before:
            stamp = max(stamp, _stamp(before[-1]) + 1)
            parts += self._kept(before[-1].read_bytes(), keeps)
        self.path = folder / f"{PREFIX}{stamp}.cnncli"
        atomic.write(self.path, b"".join(parts))
        for old in before[:-1]:
            old.unlink()
        self.old = before[-1:]
        self.file = self.path.open("ab")

    def _kept(self, old: bytes, keeps: Callable[[int, str], bool]) -> Iterator[bytes]:
        """The records of an old file to keep."""
        with suppress(DamagedError):
            for data in records(old):
                found = point(data)
                if found is not None and keeps(*found):
                    step, tag = found
                    self.last[tag] = step
                    yield record(data)

    def write(self, *events: bytes) -> None:
        """Append events. Raises OSError."""
        self.file.write(b"".join(map(record, events)))
        self.file.flush()

    def close(self) -> None:
        """Close the file, and remove the old one; what could not be written has been reported."""
        with suppress(OSError):
            self.file.close()
        for old in self.old:
            old.unlink(missing_ok=True)


def _stamp(path: Path) -> int:
    """The seconds in a file's name."""
    digits = path.name.removeprefix(PREFIX).partition(".")[0]
    return int(digits) if digits.isdecimal() and len(digits) < 12 else 0
