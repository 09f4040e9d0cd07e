"""What a NumPy archive (`.npz`) holds, read without NumPy: the names, shapes and dtypes of its arrays.

Only headers are read here, and every size is checked before anything as large is allocated. The formats: a zip file of
members `name.npy`, each a magic string, a version, the header's length, the header (a Python dict literal), the data
(numpy.lib.format). Object arrays, which hold pickles, are refused.
"""

import ast
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO

from cnncli.errors import CnncliError

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000
"""Bytes of a member's header; NumPy's own limit."""
LARGEST_ARCHIVE = 16 << 30
"""Bytes of all arrays of one archive once unpacked: 16 GiB."""
INTEGERS, FLOATS = "iub", "f"


@dataclass(frozen=True)
class Header:
    """One array of an archive: its key, shape and dtype as NumPy writes it ("|u1", "<f4")."""

    key: str
    shape: tuple[int, ...]
    code: str

    @property
    def kind(self) -> str:
        """NumPy's letter for the kind of number: b, i, u, f, …"""
        return self.code[1]

    @property
    def dtype(self) -> str:
        """The dtype's name: "uint8", "float32"."""
        names = {"b": "bool", "i": "int", "u": "uint", "f": "float"}
        return "bool" if self.kind == "b" else f"{names[self.kind]}{8 * int(self.code[2:])}"


def headers(path: Path) -> dict[str, Header]:
    """The arrays of an archive by key.

    Raises CnncliError for a file that can't be read, is no archive, holds objects, or whose sizes do not agree.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            total = sum(member.file_size for member in members)
            if total > LARGEST_ARCHIVE:
                raise CnncliError(
                    f"{path}: an archive's arrays must take at most {LARGEST_ARCHIVE:,} bytes; these take {total:,}"
                )
            return {header.key: header for header in (_header(path, archive, member) for member in members)}
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {error.strerror or error}") from None
    except zipfile.BadZipFile as error:
        raise CnncliError(f"{path}: is not a readable NumPy archive (.npz): {error}") from None


def _header(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
    key = member.filename.removesuffix(".npy")
    try:
        with archive.open(member) as file:
            shape, code, offset = _parse(path, key, file)
    except CnncliError:
        raise
    except Exception as error:  # damage shows as BadZipFile, zlib.error, RuntimeError, NotImplementedError, …
        raise CnncliError(f"{path}: {key} can't be read: {error}") from None
    if code[1] not in INTEGERS + FLOATS:
        raise CnncliError(f"{path}: {key} must hold numbers; it holds dtype {code!r}, which is never read")
    size = offset + prod(shape) * int(code[2:])
    if size != member.file_size:
        raise CnncliError(
            f"{path}: {key} is damaged: shape {shape} of dtype {code!r} takes {size:,} bytes, "
            f"the archive holds {member.file_size:,}"
        )
    return Header(key, shape, code)


def _parse(path: Path, key: str, file: IO[bytes]) -> tuple[tuple[int, ...], str, int]:
    """Shape, dtype code and where the data begins."""
    start = file.read(8)
    if len(start) < 8 or start[:6] != MAGIC or start[6] not in (1, 2, 3):
        raise CnncliError(f"{path}: {key} is not a NumPy array")
    width = 2 if start[6] == 1 else 4
    (length,) = struct.unpack("<H" if width == 2 else "<I", file.read(width))
    if length > LONGEST_HEADER:
        raise CnncliError(f"{path}: {key}'s header must take at most {LONGEST_HEADER:,} bytes; it takes {length:,}")
    try:
        header = ast.literal_eval(file.read(length).decode("utf-8" if start[6] == 3 else "latin-1").strip())
        shape, code = header["shape"], header["descr"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        raise CnncliError(f"{path}: {key}'s header can't be read") from None
    if code == "|O":
        raise CnncliError(f"{path}: {key} must hold numbers; it holds Python objects, which are never read")
    if not _is_code(code) or not _is_shape(shape):
        raise CnncliError(f"{path}: {key} must be a plain array of numbers; received shape {shape!r}, dtype {code!r}")
    return shape, code, 8 + width + length


def _is_code(code: object) -> bool:
    return isinstance(code, str) and len(code) >= 3 and code[0] in "<>|=" and code[2:].isdecimal() and len(code) < 6


def _is_shape(shape: object) -> bool:
    return isinstance(shape, tuple) and all(type(length) is int and length >= 0 for length in shape)


@dataclass(frozen=True)
class SplitHeaders:
    """The images and, unless the target is the input, the labels of one split."""

    x: Header
    y: Header | None

    @property
    def count(self) -> int:
        """The number of rows."""
        return self.x.shape[0]


SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""The suffix of an archive's keys, and the name of the split."""
IMAGES = ("uint8", "float16", "float32", "float64")


def splits(path: Path, arrays: Mapping[str, Header], *, labelled: bool) -> dict[str, SplitHeaders]:
    """The splits that the arrays make, by "train", "validation", "test".

    Raises CnncliError for an unknown x_… or y_… key, images or labels of a wrong shape or dtype, counts that differ.
    """
    known = [f"{axis}_{suffix}" for suffix in SPLITS for axis in "xy"]
    for key in arrays:
        if key not in known and key[:2] in ("x_", "y_"):
            raise CnncliError(f"{path}: the arrays are {', '.join(known)}; received {key!r}")
    found = {}
    for suffix, name in SPLITS.items():
        x, y = arrays.get(f"x_{suffix}"), arrays.get(f"y_{suffix}")
        if x is None and y is None:
            continue
        if x is None:
            raise CnncliError(f"{path}: y_{suffix} needs x_{suffix} beside it; {_keys(arrays)}")
        if y is None and labelled:
            raise CnncliError(f"{path}: x_{suffix} needs y_{suffix} beside it; {_keys(arrays)}")
        found[name] = SplitHeaders(x, y if labelled else None)
        _check_images(path, x)
        if labelled and y is not None:
            _check_labels(path, x, y)
    if not found:
        raise CnncliError(f"{path}: must hold x_train and y_train; {_keys(arrays)}")
    shapes = {split.x.shape[1:]: split.x for split in reversed(list(found.values()))}
    if len(shapes) > 1:
        first, second = list(shapes.values())[:2]
        raise CnncliError(
            f"{path}: images of all splits must have one shape; "
            f"{second.key} has {second.shape[1:]}, {first.key} {first.shape[1:]}"
        )
    return found


def _keys(arrays: Mapping[str, Header]) -> str:
    names: Sequence[str] = sorted(arrays)
    return f"it holds {', '.join(names[:12]) or 'no array'}"


def _check_images(path: Path, x: Header) -> None:
    if len(x.shape) not in (3, 4):
        raise CnncliError(f"{path}: {x.key} must have shape (N, H, W) or (N, H, W, C); received {x.shape}")
    if not prod(x.shape):
        raise CnncliError(f"{path}: {x.key} must hold at least one image with one pixel; received shape {x.shape}")
    if x.dtype not in IMAGES:
        raise CnncliError(f"{path}: {x.key} must be uint8 or floating point; received {x.dtype}")


def _check_labels(path: Path, x: Header, y: Header) -> None:
    if not y.shape or not prod(y.shape):
        raise CnncliError(f"{path}: {y.key} must have a row for each image; received shape {y.shape}")
    if y.shape[0] != x.shape[0]:
        raise CnncliError(
            f"{path}: {x.key} and {y.key} must have equally many rows; received {x.shape[0]:,} and {y.shape[0]:,}"
        )
    if y.dtype not in ("bool", *IMAGES) and y.kind not in INTEGERS:
        raise CnncliError(f"{path}: {y.key} must be whole numbers or floating point; received {y.dtype}")
