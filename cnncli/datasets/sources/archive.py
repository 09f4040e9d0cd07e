"""Headers of array files, read without NumPy: the names, shapes and dtypes of their arrays.

Only headers are read here, and every size is checked before anything as large is allocated. The formats: `.npy` is a
magic string, a version, the header's length, the header (a Python dict literal), the data (numpy.lib.format); `.npz` a
zip file of such members; idx two bytes 0, the type, the number of axes, their lengths, the data. Object arrays, which
hold pickles, are refused.
"""

import ast
import gzip
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import IO

from cnncli.datasets.section import AUTO
from cnncli.datasets.sources import array_names
from cnncli.datasets.sources.found import Found
from cnncli.datasets.sources.image_names import entries
from cnncli.errors import CnncliError, DeclarationError
from cnncli.system.files import open_regular

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000
"""Bytes of a member's header; NumPy's own limit."""
LARGEST_ARCHIVE = 16 << 30
"""Bytes of all arrays of one archive once unpacked: 16 GiB."""
INTEGERS, FLOATS = "iub", "f"
UNSIGNED_BYTES = 8
"""idx's number of the type."""


@dataclass(frozen=True)
class Header:
    """One array: its key, which is x_train, … where its name says so; shape, dtype in NumPy's notation ("|u1", "<f4"),
    and file.

    `title`: the name shown to the user: its name in an archive, else its file's. `transposed`: it is
    (N, C, …) in the file, and `shape` is (N, …, C). `offset`: where its data begin in an HDF5 file, where they lie
    there as they are, so that they can be mapped.
    """

    key: str
    shape: tuple[int, ...]
    code: str
    file: Path
    title: str
    transposed: bool = False
    offset: int | None = None

    @property
    def place(self) -> str:
        """The beginning of an error message about its values."""
        return str(self.file) if self.title == self.file.name else f"{self.file}: {self.title}"

    @property
    def size(self) -> int:
        """Bytes of its data."""
        return prod(self.shape) * int(self.code[2:])

    @property
    def kind(self) -> str:
        """NumPy's letter for the kind of number: b, i, u, f, …"""
        return self.code[1]

    @property
    def dtype(self) -> str:
        """The dtype's name: "uint8", "float32"."""
        names = {"b": "bool", "i": "int", "u": "uint", "f": "float"}
        return "bool" if self.kind == "b" else f"{names[self.kind]}{8 * int(self.code[2:])}"


def headers(source: Found) -> dict[str, Header]:
    """The arrays of a source by key.

    Raises CnncliError for a file that can't be read, is not of its format, holds objects, or whose sizes do not agree.
    """
    if source.kind in ARCHIVES:
        held = ARCHIVES[source.kind](source.file)
        keys = array_names.by_key(source.file, held)
        return {key: replace(held[name], key=key) for key, name in keys.items()}
    read = {"npy": _array, "idx": _idx}[source.kind]
    return {key: _alone(key, path, read) for key, path in source.files.items()}


def groups(source: Found, arrays: Mapping[str, Header], name: str, train: Header | None) -> Header:
    """The array of this name: the group of each row of `train`. Raises DeclarationError where there is none such."""
    found = _named(source, arrays, name, "group_by")
    if train is None or found.shape != train.shape[:1] or found.kind not in INTEGERS:
        rows = f"({train.shape[0]},)" if train else "(N,)"
        raise DeclarationError(
            f"group_by must name an array of whole numbers {rows}, for each training image one; {found.title} is "
            f"{found.dtype} {found.shape}",
            "group_by",
        )
    return found


def weights(
    source: Found,
    arrays: Mapping[str, Header],
    name: str | int | None,
    splits: Mapping[str, "SplitHeaders"],
    *,
    masks: bool = False,
) -> dict[str, Header]:
    """The arrays of sample weights by split: those that their names say to be, and for the training rows that of the
    `name`, unless it is "auto"; none where it is null. With `masks` they may be those of pixels, for all splits alike.
    Raises DeclarationError for a name of no array, and CnncliError for a shape or dtype that are not those of weights.
    """
    if name is None:
        return {}
    found = {
        split: arrays[key] for suffix, split in SPLITS.items() if (key := f"{array_names.WEIGHT}_{suffix}") in arrays
    }
    if name != AUTO:
        found["train"] = _named(source, arrays, str(name), array_names.WEIGHT)
    for split, header in found.items():
        rows = splits[split].x.shape[:1] if split in splits else None
        if rows is None:
            raise CnncliError(f"{header.place} is for {split} images, of which there are none")
        pixels = [splits[split].x.shape[:3]] if masks else []
        if header.shape not in (rows, (*rows, 1), *pixels, *((*shape, 1) for shape in pixels)):
            each = " or of their pixels" if masks else ""
            raise CnncliError(
                f"{header.place} must hold a number for each of the {rows[0]:,} images of "
                f"{splits[split].x.title}{each}; it is {header.dtype} {header.shape}"
            )
    if len({header.shape[1:3] in ((), (1,)) for header in found.values()}) > 1:
        raise CnncliError(f"{source.file}: weights must be those of images, or those of pixels, in all splits")
    return found


def _named(source: Found, arrays: Mapping[str, Header], name: str, key: str) -> Header:
    """The array that the spec's `key` names. Raises DeclarationError where there is none such."""
    path = source.file / f"{name.removesuffix('.npy')}.npy"
    if source.kind == "npy" and name not in arrays and path.is_file():
        arrays = headers(replace(source, files={name: path}))
    if name not in arrays:
        raise DeclarationError(f"{key} must name an array of {source.name}; {_keys(arrays)}", key)
    return arrays[name]


def notes(
    source: Found,
    arrays: Mapping[str, Header],
    used: Mapping[str, "SplitHeaders"],
    group_by: str | None = None,
    weights: Iterable[Header] = (),
) -> list[str]:
    """What is said of the names of a source's arrays, and of those that are not `used`, nor named by `group_by`, nor
    `weights`.
    """
    names = {key: header.title for key, header in arrays.items()}
    if source.kind == "npy":
        names = {key: name.removesuffix(".npy") for key, name in names.items()}
        names |= {
            name: name for name, _ in entries(source.file) if name.endswith(".npy") and name not in _titles(arrays)
        }
    if source.kind == "idx":
        return []
    taken = [part.key for split in used.values() for part in (split.x, split.y) if part]
    weighing = [header.title.removesuffix(".npy") for header in weights]
    others = {key: name for key, name in names.items() if name.removesuffix(".npy") not in weighing}
    return [
        *array_names.notes(others, [*taken, *([group_by, f"{group_by}.npy"] if group_by else [])]),
        *([array_names.weights_note(weighing)] if weighing else []),
    ]


def _titles(arrays: Mapping[str, Header]) -> set[str]:
    return {header.title for header in arrays.values()}


def _archived(path: Path) -> dict[str, Header]:
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            total = sum(member.file_size for member in members)
            if total > LARGEST_ARCHIVE:
                raise CnncliError(
                    f"{path}: an archive's arrays must take at most {LARGEST_ARCHIVE:,} bytes; these take {total:,}"
                )
            return {header.title: header for header in (_member(path, archive, member) for member in members)}
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {error.strerror or error}") from None
    except zipfile.BadZipFile as error:
        raise CnncliError(f"{path}: is not a readable NumPy archive (.npz): {error}") from None


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
    key = member.filename.removesuffix(".npy")
    try:
        with archive.open(member) as file:
            return _array(file, Header(key, (), "", path, key), member.file_size)
    except CnncliError:
        raise
    except Exception as error:  # damage shows as BadZipFile, zlib.error, RuntimeError, NotImplementedError, …
        raise CnncliError(f"{path}: {key} can't be read: {error}") from None


def _alone(key: str, path: Path, read: Callable[[IO[bytes], Header, int], Header]) -> Header:
    """The header of a file that holds one array."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise CnncliError(f"{path}: must hold an array; the file has 0 bytes")
            return read(file, Header(key, (), "", path, path.name), size)
    except struct.error:
        raise CnncliError(f"{path}: ends within its header") from None
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {error.strerror or error}") from None


def _array(file: IO[bytes], header: Header, size: int) -> Header:
    """The header of a NumPy array in a file of so many bytes."""
    place = header.place
    shape, code, offset = _parse(place, file)
    if code[1] not in INTEGERS + FLOATS:
        raise CnncliError(f"{place} must hold numbers; it holds dtype {code!r}, which is not supported")
    return _fitting(replace(header, shape=shape, code=code), offset, size)


def _idx(file: IO[bytes], header: Header, size: int) -> Header:
    """The header of an idx file. The size of a compressed one is checked when it is read."""
    place, packed = header.place, header.title.endswith(".gz")
    try:
        with gzip.open(file) if packed else nullcontext(file) as content:
            start = content.read(4)
            lengths = content.read(4 * start[3]) if len(start) == 4 else b""
    except (OSError, EOFError, zlib.error) as error:
        raise CnncliError(f"{place} can't be read: {error}") from None
    if len(start) < 4 or start[:2] != b"\0\0" or len(lengths) < 4 * start[3]:
        raise CnncliError(f"{place} is not an idx file: it must begin with 0, 0, a type and the number of axes")
    if start[2] != UNSIGNED_BYTES:
        raise CnncliError(f"{place} must hold unsigned bytes, idx's type 0x08; it holds type 0x{start[2]:02X}")
    shape = struct.unpack(f">{start[3]}I", lengths)
    if packed and prod(shape) > LARGEST_ARCHIVE:
        raise CnncliError(f"{place} must take at most {LARGEST_ARCHIVE:,} bytes; it takes {prod(shape):,}")
    found = replace(header, shape=shape, code="|u1")
    return found if packed else _fitting(found, 4 + len(lengths), size)


def _fitting(header: Header, offset: int, size: int) -> Header:
    """The header, if the size of the data matches it."""
    expected = offset + header.size
    if expected != size:
        holder = "file" if header.title == header.file.name else "archive"
        raise CnncliError(
            f"{header.place} is damaged: shape {header.shape} of dtype {header.code!r} takes {expected:,} bytes, "
            f"the {holder} holds {size:,}"
        )
    return header


def _parse(place: str, file: IO[bytes]) -> tuple[tuple[int, ...], str, int]:
    """Shape, dtype code and offset of the data."""
    start = file.read(8)
    if len(start) < 8 or start[:6] != MAGIC or start[6] not in (1, 2, 3):
        raise CnncliError(f"{place} is not a NumPy array")
    width = 2 if start[6] == 1 else 4
    (length,) = struct.unpack("<H" if width == 2 else "<I", file.read(width))
    if length > LONGEST_HEADER:
        raise CnncliError(f"{place}'s header must take at most {LONGEST_HEADER:,} bytes; it takes {length:,}")
    try:
        header = ast.literal_eval(file.read(length).decode("utf-8" if start[6] == 3 else "latin-1").strip())
        shape, code = header["shape"], header["descr"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        raise CnncliError(f"{place}'s header can't be read") from None
    if code == "|O":
        raise CnncliError(f"{place} must hold numbers; it holds Python objects, which are never loaded")
    if not _is_code(code) or not _is_shape(shape):
        raise CnncliError(f"{place} must be a plain array of numbers; received shape {shape!r}, dtype {code!r}")
    return shape, code, 8 + width + length


def _is_code(code: object) -> bool:
    return isinstance(code, str) and len(code) >= 3 and code[0] in "<>|=" and code[2:].isdecimal() and len(code) < 6


def _is_shape(shape: object) -> bool:
    return isinstance(shape, tuple) and all(type(length) is int and length >= 0 for length in shape)


def _hdf5(path: Path) -> dict[str, Header]:
    from cnncli.datasets.sources import hdf5  # here, because h5py is optional and takes a while to import

    return {
        name: Header(name, found.shape, found.code, path, name, offset=found.offset)
        for name, found in hdf5.datasets(path).items()
    }


ARCHIVES: dict[str, Callable[[Path], dict[str, Header]]] = {"npz": _archived, "h5": _hdf5}
"""Reads the headers of a file of several arrays, by their names."""


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
FEW_CHANNELS, LEAST_SIDE = (1, 3, 4), 8
"""Lengths of the second axis, and of both others from which on, that look like channels first."""
IMAGES = ("uint8", "float16", "float32", "float64")
BYTES = ("int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
"""Of images whose values must be those of bytes: 0 to 255."""


def splits(
    path: Path, arrays: Mapping[str, Header], *, labelled: bool, masks: bool = False, data_format: str = "auto"
) -> dict[str, SplitHeaders]:
    """The splits that the arrays make, by "train", "validation", "test". With `masks` the labels are those of pixels.
    `data_format`: as in a spec.

    Raises CnncliError for an unknown x_… or y_… key, images or labels of a wrong shape or dtype, counts that differ.
    """
    known = [f"{axis}_{suffix}" for suffix in SPLITS for axis in "xy"]
    for key in arrays:
        if key not in known and key[:2] in ("x_", "y_"):
            raise CnncliError(f"{path}: arrays must be named {', '.join(known)}; received {key!r}")
    if data_format == "channels_first":
        arrays = {key: _channels_last(header) for key, header in arrays.items()}
    found = {}
    for suffix, name in SPLITS.items():
        x, y = arrays.get(f"x_{suffix}"), arrays.get(f"y_{suffix}")
        if x is None and y is None:
            continue
        if x is None or (y is None and labelled):
            alone = next(header for header in (x, y) if header is not None)
            raise CnncliError(f"{path}: {alone.title} requires {_partner(alone)}; {_keys(arrays)}")
        found[name] = SplitHeaders(x, y if labelled else None)
        _check_images(x)
        if data_format == "auto" and looks_channels_first(x):
            raise CnncliError(_question(x))
        if labelled and y is not None:
            _check_labels(path, x, y)
            if masks:
                _check_masks(x, y)
    if not found:
        raise CnncliError(f"{path}: must hold x_train and y_train; {_keys(arrays)}")
    shapes = {split.x.shape[1:]: split.x for split in reversed(list(found.values()))}
    if len(shapes) > 1:
        first, second = list(shapes.values())[:2]
        raise CnncliError(
            f"{path}: images of all splits must have the same shape; "
            f"{second.title} has {second.shape[1:]}, {first.title} {first.shape[1:]}"
        )
    return found


def _partner(header: Header) -> str:
    """The name of the labels that belong to these images, or vice versa."""
    pairs = (("x_", "y_"), ("images-idx3", "labels-idx1"), ("images.idx3", "labels.idx1"))
    for images, labels in pairs:
        if images in header.title:
            return header.title.replace(images, labels)
        if labels in header.title:
            return header.title.replace(labels, images)
    return f"{'y' if header.key.startswith('x') else 'x'}{header.key[1:]}"


def _keys(arrays: Mapping[str, Header]) -> str:
    names: Sequence[str] = sorted(array.title for array in arrays.values())
    return f"found {', '.join(names[:12]) or 'no array'}"


def looks_channels_first(header: Header) -> bool:
    """Whether images are (N, C, H, W) by their shape: few channels, which are the second axis."""
    shape = header.shape
    return len(shape) == 4 and shape[1] in FEW_CHANNELS and min(shape[2:]) >= LEAST_SIDE


def _question(x: Header) -> str:
    channels, *size = x.shape[1:]
    return (
        f"{x.place} has shape {x.shape}, which looks like channels first: set `data_format: channels_first` under "
        f"`data` to transpose it, or `data_format: channels_last` if images are {channels} × {size[0]} with {size[1]} "
        "channels"
    )


def _channels_last(header: Header) -> Header:
    """(N, C, H, W) as (N, H, W, C); arrays of other ranks as they are."""
    if len(header.shape) != 4:
        return header
    count, channels, *size = header.shape
    return replace(header, shape=(count, *size, channels), transposed=True)


def _check_images(x: Header) -> None:
    if len(x.shape) not in (3, 4):
        raise CnncliError(f"{x.place} must have shape (N, H, W) or (N, H, W, C); received {x.shape}")
    if not prod(x.shape):
        raise CnncliError(f"{x.place} must hold at least one non-empty image; received shape {x.shape}")
    if x.dtype not in IMAGES + BYTES:
        raise CnncliError(f"{x.place} must be whole numbers or floating point; received {x.dtype}")


def _check_labels(path: Path, x: Header, y: Header) -> None:
    if not y.shape or not prod(y.shape):
        raise CnncliError(f"{y.place} must have a row for each image; received shape {y.shape}")
    if y.shape[0] != x.shape[0]:
        raise CnncliError(
            f"{path}: {x.title} and {y.title} must have the same number of rows; "
            f"received {x.shape[0]:,} and {y.shape[0]:,}"
        )
    if y.dtype not in ("bool", *IMAGES) and y.kind not in INTEGERS:
        raise CnncliError(f"{y.place} must be integer or floating point; received {y.dtype}")


def _check_masks(x: Header, y: Header) -> None:
    height, width = x.shape[1:3]
    pixels, channels = y.shape[1:3], y.shape[3:]
    fits = len(channels) == 1 if y.kind == FLOATS else channels in ((), (1,))
    if fits and pixels == (height, width):
        return
    raise CnncliError(
        f"{y.place} must hold a class number per pixel with `targets: masks`, "
        f"(N, {height}, {width}) integers or (N, {height}, {width}, C) floats; "
        f"received {y.dtype} {y.shape}"
    )
