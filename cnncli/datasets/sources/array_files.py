"""Reads or maps the arrays of a source, checks them and adds them to the digest of the data.

Arrays in `.npy` files are memory-mapped and processed in portions, so they may be larger than memory.
"""

import gzip
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from io import BufferedReader
from math import prod
from typing import Any

import numpy as np

from cnncli.datasets import fingerprints
from cnncli.datasets.masks import numbered
from cnncli.datasets.sources import formats, memmap
from cnncli.datasets.sources.archive import BYTES, Header
from cnncli.datasets.sources.found import Found
from cnncli.datasets.sources.memmap import Mapped
from cnncli.errors import CnncliError
from cnncli.system.files import open_regular
from cnncli.system.memory import limit, shown

Array = np.ndarray[Any, Any]
FAR = 10
"""What numbers that are scaled in one of the usual ways seldom exceed."""
PORTION = 16 << 20
"""Bytes of an array that are gone through at a time."""


def read(header: Header, kind: str) -> Array:
    """The array of a header, with its channels last: of a `.npy` mapped, of others in memory."""
    path = header.file
    try:
        if kind == "npy":
            array: Array = memmap.load(path)
        elif kind == "h5":
            array = _hdf5(header)
        else:
            with open_regular(path) as file:
                array = _read(header, kind, file)
    except MemoryError:
        raise CnncliError(f"{header.place} does not fit into memory") from None
    except Exception as error:  # zlib.error, BadZipFile, EOFError, ValueError, OSError: a damaged file, in its words
        raise CnncliError(f"{header.place} can't be read: {error}") from None
    return np.moveaxis(array, 1, -1) if header.transposed else array


def _read(header: Header, kind: str, file: BufferedReader) -> Array:
    """The array of a header from its file, which is an archive, or idx, packed or not."""
    if kind == "npz":
        with np.load(file, allow_pickle=False) as archive:
            array: Array = archive[header.title]
            return array
    with gzip.open(file) if header.file.suffix == ".gz" else nullcontext(file) as content:
        return formats.idx(content, header.shape)


def _hdf5(header: Header) -> Array:
    """Of an HDF5 file: mapped where its bytes lie there as they are, else read."""
    if header.offset is not None:
        return memmap.within(header.file, np.dtype(header.code), header.shape, header.offset)
    from cnncli.datasets.sources import hdf5

    return hdf5.read(header.file, header.title)


def check_memory(source: Found, arrays: Iterable[Header]) -> None:
    """Raise CnncliError if the arrays of a source do not fit into memory; `.npy` files are mapped."""
    # Of another floating type there is the copy in float32, too, for a while.
    read = [array for array in arrays if source.kind != "npy" and array.offset is None]
    needed = sum(max(array.size, 4 * prod(array.shape) if array.kind == "f" else 0) for array in read)
    if needed > limit():
        raise CnncliError(
            f"{source.file}: its arrays need {shown(needed)} of memory, but this process may use only "
            f"{shown(limit())}; save them as .npy files (x_train.npy, …) to read them on demand"
        )


def digest(key: str, array: Array, state: "hashlib._Hash") -> Array:
    """Add an array, its name, dtype and shape to the digest; the array as it was added: C-contiguous, little-endian."""
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    state.update(repr((key, array.dtype.name, array.shape)).encode())
    state.update(array.data)
    return array


def limits(x: Array) -> tuple[float, float]:
    """The minimum and maximum of an array."""
    found = [(x[rows].min(), x[rows].max()) for rows in portions(x)]
    return float(min(low for low, _ in found)), float(max(high for _, high in found))


def images(x: Array, header: Header, state: "hashlib._Hash") -> tuple[Array, Array | None]:
    """Images, uint8 or float32 (N, H, W, C), added to the digest; of mapped ones also their fingerprints.

    uint8 and float32 in C order stay where they are; all else is copied into memory, whole numbers as uint8, others as
    float32. Raises CnncliError naming the first row with a value that is not finite in float32, or of whole numbers not
    between 0 and 255; and for a copy that is larger than this machine's memory.
    """
    dtype = np.dtype(np.float32 if x.dtype.kind == "f" else np.uint8)
    stays = x.dtype == dtype and x.flags.c_contiguous
    kept = x if stays else _room(header, x.shape, dtype)
    seen = np.empty((len(x), fingerprints.SIZE), np.uint8) if isinstance(x, np.memmap) else None
    state.update(repr((header.key, x.dtype.name, x.shape)).encode())
    for rows in portions(x):
        part = np.ascontiguousarray(x[rows], x.dtype.newbyteorder("<"))
        state.update(part.data)
        part = of_bytes(part, header, rows.start) if dtype == np.uint8 else finite(part, header, rows.start)
        if not stays:
            kept[rows] = part
        if seen is not None:
            prints = b"".join(fingerprints.fingerprint(row.data) for row in part)
            seen[rows] = np.frombuffer(prints, np.uint8).reshape(-1, fingerprints.SIZE)
    return (kept[..., None] if kept.ndim == 3 else kept), seen


def label_notes(labels: Iterable[Array | None], outputs: int | None) -> list[str]:
    """What is said of class numbers that begin after 0; nothing where a model has too few `outputs` for them."""
    numbers = [y for y in labels if y is not None and y.dtype == np.int64]
    least = min((int(y.min()) for y in numbers), default=0)
    if least <= 0:
        return []
    greatest = max(int(y.max()) for y in numbers)
    if outputs is not None and outputs <= greatest:
        return []
    return [
        f"class numbers are {least} to {greatest}: with none from 0 the model needs {greatest + 1} outputs; "
        f"save them less {least} for {greatest + 1 - least}"
    ]


def image_notes(x: Array, header: Header) -> list[str]:
    """What is said of images that were converted, or seem to be bytes in floating point."""
    if header.dtype in BYTES:
        return [f"{header.title} is {header.dtype} with values from 0 to 255, which count as uint8"]
    if x.dtype == np.uint8 or not all(_are_bytes(x[rows]) for rows in portions(x)) or limits(x)[1] <= 1:
        return []
    return [
        f"{header.title} is {header.dtype}, which is not rescaled by itself, with whole numbers from 0 to 255; "
        "if they are pixels, set `rescale: 1/255` under `data`"
    ]


def range_notes(x: Array, title: str) -> list[str]:
    """What is said of floats that are far from 0 to 1, which nothing scales."""
    if x.dtype == np.uint8 or max(map(abs, limits(x))) <= FAR:
        return []
    low, high = limits(x)
    return [
        f"{title} has values from {low:,.6g} to {high:,.6g}, far from 0 to 1: unless the model scales them itself, set "
        "`normalize: train` under `data`"
    ]


def _are_bytes(x: Array) -> bool:
    return bool(((x >= 0) & (x <= 255) & (x == np.floor(x))).all())


def labels(y: Array, header: Header, void: int | None = None) -> Array:
    """Labels, int64 (N,) or float32 (N, …); `void` is no class. Raises CnncliError naming the first bad row."""
    y = y.astype(y.dtype.newbyteorder("="), copy=False)
    if y.dtype.kind == "f":
        return finite(y.reshape(-1, 1) if y.ndim == 1 else y, header)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype.kind == "i" and (bad := (y < 0) & (y != void)).any():
        row = int(np.argmax(bad.reshape(len(y), -1).any(axis=1)))
        raise CnncliError(f"{header.place} must hold class numbers ≥ 0; row {row} has {y[row].min()}")
    if y.ndim == 1:
        if y.dtype.kind == "u" and y.max() > np.iinfo(np.int64).max:
            raise CnncliError(f"{header.place} must hold class numbers; row {int(y.argmax())} has {y.max()}")
        return y.astype(np.int64)
    return np.ascontiguousarray(y, np.float32)


def values(y: Array, header: Header, void: int | None = None) -> Array:
    """Numbers, float32 (N, k), of any dtype. Raises CnncliError for another shape, or naming the first bad row."""
    if y.ndim > 2:
        raise CnncliError(
            f"{header.place} must have shape (N,) or (N, k) with `targets: values`; received {tuple(y.shape)}"
        )
    return finite(y.astype(y.dtype.newbyteorder("="), copy=False).reshape(len(y), -1), header)


def weights(given: Array, header: Header, state: "hashlib._Hash") -> Array:
    """Sample weights, float32 (N,) or (N, H, W), added to the digest. Raises CnncliError naming the first that is not
    ≥ 0.
    """
    given = given.reshape(given.shape[:3] if given.ndim > 2 else -1)
    made = finite(digest(header.key, given, state), header)
    if (made < 0).any():
        row, *place = np.argwhere(made < 0)[0]
        raise CnncliError(f"{header.place} must hold weights ≥ 0; row {row} has {made[(row, *place)]}")
    return made


def masks(y: Array, header: Header, void: int | None = None) -> Array:
    """Masks, uint8 (N, H, W) or float32 (N, H, W, C); see `byte_of`. Raises CnncliError naming the first bad row."""
    y = y.astype(y.dtype.newbyteorder("="), copy=False)
    return finite(y, header) if y.dtype.kind == "f" else numbered(y.reshape(y.shape[:3]), header.place, void)


def finite(array: Array, header: Header, start: int = 0) -> Array:
    """Rows `start` and on as float32. Raises CnncliError naming the first with a value that is not finite there."""
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, np.float32)
    bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
    if bad.size:
        row = array[bad[0]].reshape(-1)
        value = row[~np.isfinite(row)][0]
        raise CnncliError(f"{header.place} must hold finite float32 numbers; row {start + bad[0]} has {value}")
    return array


def of_bytes(array: Array, header: Header, start: int = 0) -> Array:
    """Rows `start` and on as uint8. Raises CnncliError naming the first with a value that is not one of 0 to 255."""
    if array.dtype == np.uint8:
        return array
    bad = (array < 0) | (array > 255)
    if bad.any():
        row = int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))
        raise CnncliError(
            f"{header.place} must hold values from 0 to 255, because it is {header.dtype}; row {start + row} has "
            f"{array[row][bad[row]][0]}: save them as float32 and set `normalize: train` under `data`"
        )
    return array.astype(np.uint8)


def portions(x: Array) -> Iterator[slice]:
    """Slices of all rows, one portion at a time; only part of a mapped array stays in memory."""
    count, reading = max(1, PORTION // max(1, x[0].nbytes)), Mapped(x)
    for start in range(0, len(x), count):
        rows = slice(start, min(start + count, len(x)))
        reading.check()
        yield rows
        reading.used(rows.stop - rows.start)


def _room(header: Header, shape: tuple[int, ...], dtype: "np.dtype[Any]") -> Array:
    size, memory = int(np.prod(shape)) * dtype.itemsize, limit()
    if size > memory:
        raise CnncliError(
            f"{header.place} must be uint8 or float32 in C order and native byte order to be read from disk; "
            f"converted to {dtype} it needs {size:,} bytes of memory, but only {memory:,} are available"
        )
    return np.empty(shape, dtype)
