"""Arrays in HDF5 files, by h5py: what is in the file itself, never what it refers to in others.

Only datasets of numbers that the file holds are looked at: links, external and virtual storage are not followed, and
nothing is read into objects.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnncli.datasets.sources import array_names
from cnncli.errors import CnncliError
from cnncli.extras import require
from cnncli.system.files import open_regular

Array = np.ndarray[Any, Any]
DEEPEST, MOST = 2, 1_000
"""Levels of groups that are looked into, and names in one."""


class Stored(NamedTuple):
    """An array in a file. `code`: its dtype in NumPy's notation; `offset`: of its data where they lie in the file as
    they are, neither compressed nor in chunks.
    """

    shape: tuple[int, ...]
    code: str
    offset: int | None


def datasets(path: Path) -> dict[str, Stored]:
    """The arrays of numbers in a file by name, those in groups as "train/images".

    Raises UsageError without h5py; CnncliError where the file can't be read, and where images or labels are links or
    hold no numbers.
    """
    with _opened(path) as file:
        return dict(_arrays(path, file, "", DEEPEST))


def read(path: Path, name: str) -> Array:
    """An array, in memory. Raises CnncliError as `datasets` does, and OSError or ValueError for one that is damaged."""
    with _opened(path) as file:
        found = file[name]
        array = np.empty(found.shape, found.dtype)
        found.read_direct(array)
        return array


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file that is open for reading."""
    require(f"{path}, an HDF5 file,", "h5py", ("h5py",), "hdf5")
    import h5py

    try:
        with open_regular(path):  # HDF5 opens by name alone
            file = h5py.File(path, "r")
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {error.strerror or 'it is damaged or no HDF5 file'}") from None
    with file:
        yield file


def _arrays(path: Path, group: Any, prefix: str, depth: int) -> Iterator[tuple[str, Stored]]:
    import h5py

    if len(group) > MOST:
        return
    for name in group:
        full = f"{prefix}{name}"
        wanted = array_names.key_of(full) is not None
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            if wanted:
                raise CnncliError(
                    f"{path}: {full} is a link, which is never followed; copy what it leads to into the file"
                )
            continue
        try:
            member = group[name]
            if isinstance(member, h5py.Group):
                if depth > 1:
                    yield from _arrays(path, member, f"{full}/", depth - 1)
                continue
            stored = _stored(member)
        except (OSError, RuntimeError, TypeError, ValueError, KeyError) as error:
            if wanted:
                raise CnncliError(f"{path}: {full} can't be read: {error}") from None
            continue
        if isinstance(stored, Stored):
            yield full, stored
        elif wanted:
            raise CnncliError(f"{path}: {full} must hold numbers of this file; {stored}")


def _stored(member: Any) -> Stored | str:
    """A dataset as it is stored; or why it is not read."""
    import h5py

    if not isinstance(member, h5py.Dataset) or member.shape is None:
        return "it holds no array"
    if member.dtype.kind not in "iubf":
        return f"it holds dtype {member.dtype.name!r}, which is not supported"
    if member.external or member.is_virtual:
        return "they are stored in other files, which are never opened"
    mapped = member.chunks is None and not member.file.userblock_size and member.dtype.kind != "b"
    offset = member.id.get_offset() if mapped and member.size else None
    return Stored(tuple(member.shape), member.dtype.str, offset)
