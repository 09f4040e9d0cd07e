"""Reads the files of downloaded datasets: idx (http://yann.lecun.com/exdb/mnist/) and CIFAR's binary records.

How many bytes there must be is known beforehand: no more are ever unpacked, and nothing is written to disk.
"""

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.datasets.sources.archive import UNSIGNED_BYTES
from cnncli.datasets.sources.catalogue import Idx, Known, Records
from cnncli.errors import CnncliError

Array = np.ndarray[Any, Any]
Arrays = dict[str, tuple[Array, Array]]
"""By split: images, uint8 (N, H, W, C), and class numbers, int64 (N,)."""


def read(known: Known, files: Mapping[str, Path]) -> Arrays:
    """The splits of a dataset from its files by name. Raises CnncliError for one that is not what it should be."""
    if isinstance(known.contents, Idx):
        arrays = _idx_pairs(known, known.contents, files)
    else:
        (path,) = files.values()
        with _named(path):
            arrays = _records(known, known.contents, path)
    for name, (_, y) in arrays.items():
        if y.max() >= len(known.classes):
            raise CnncliError(
                f"{known.name}: y_{name} must hold numbers of {len(known.classes)} classes; it has {y.max()}"
            )
    return arrays


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Whatever a damaged file leads to becomes one line that names it."""
    try:
        yield
    except MemoryError:
        raise CnncliError(f"{path}: does not fit into memory") from None
    except Exception as error:  # zlib.error, BadGzipFile, TarError, BadZipFile, EOFError, KeyError, ValueError, OSError
        raise CnncliError(f"{path}: can't be read: {error}; delete it to download it again") from None


def _idx_pairs(known: Known, contents: Idx, files: Mapping[str, Path]) -> Arrays:
    arrays = {}
    for name, (images, labels) in contents.members.items():
        count = known.samples[name]
        x = _member(files, images, (count, *known.input_shape[:2]))
        y = _member(files, labels, (count,))
        upright = x if contents.upright else np.ascontiguousarray(x.transpose(0, 2, 1))
        arrays[name] = upright[..., None], y.astype(np.int64)
    return arrays


def _member(files: Mapping[str, Path], name: str, shape: tuple[int, ...]) -> Array:
    """One idx file, which is a file of its own or in the only one there is, a zip file."""
    if name in files:
        with _named(files[name]), gzip.open(files[name]) as file:
            return idx(file, shape)
    (path,) = files.values()
    with _named(path), zipfile.ZipFile(path) as archive, archive.open(name) as packed, gzip.open(packed) as file:
        return idx(file, shape)


def idx(file: io.BufferedIOBase, shape: tuple[int, ...]) -> Array:
    """uint8 array of an idx file. Raises ValueError where the file has another shape or type, or other bytes follow."""
    expected = struct.pack(f">HBB{len(shape)}I", 0, UNSIGNED_BYTES, len(shape), *shape)
    if file.read(len(expected)) != expected:
        raise ValueError(f"it is no idx file of bytes of shape {shape}")
    return _bytes(file, shape)


def _records(known: Known, contents: Records, path: Path) -> Arrays:
    height, width, channels = known.input_shape
    places = {member: (name, i) for name, members in contents.members.items() for i, member in enumerate(members)}
    arrays = {
        name: (np.empty((n, *known.input_shape), np.uint8), np.empty(n, np.int64)) for name, n in known.samples.items()
    }
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            if member.name not in places or not member.isreg():
                continue
            file = archive.extractfile(member)
            assert isinstance(file, io.BufferedReader)
            name, part = places.pop(member.name)
            x, y = arrays[name]
            count = len(x) // len(contents.members[name])
            rows = slice(part * count, (part + 1) * count)
            records = _bytes(file, (count, contents.label_bytes + prod(known.input_shape)))
            y[rows] = records[:, contents.label_bytes - 1]
            planes = records[:, contents.label_bytes :].reshape(count, channels, height, width)
            x[rows] = planes.transpose(0, 2, 3, 1)
    if places:
        raise ValueError(f"it has no {next(iter(places))}")
    return arrays


def _bytes(file: io.BufferedIOBase, shape: tuple[int, ...]) -> Array:
    """All that is left of a file. Raises ValueError where that is not as much as the shape takes."""
    array = np.empty(shape, np.uint8)
    left = array.reshape(-1).data
    while left and (count := file.readinto(left)):
        left = left[count:]
    if left or file.read(1):
        raise ValueError(f"it must hold {array.size:,} bytes; it holds {'fewer' if left else 'more'}")
    return array
