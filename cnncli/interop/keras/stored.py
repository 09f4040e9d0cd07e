"""Arrays in HDF5 files of weights: what the file itself holds, never what it refers to in others."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from cnncli.errors import CnncliError
from cnncli.interop.incoming.draft import Array
from cnncli.system.trial import survives

DEEPEST, MOST = 60, 10_000
"""Levels of groups, and names in one."""
LARGEST_TEXT = 32 << 20
"""Bytes of an attribute, such as the configuration of a model as JSON."""
DAMAGED = (OSError, RuntimeError, TypeError, ValueError, KeyError, AttributeError, OverflowError, MemoryError)
"""What h5py raises for damaged files."""


Read = TypeVar("Read")


def tried(path: Path, read: Callable[[], Read]) -> Read:
    """What a function reads of an HDF5 file, once a copy of this process has read it: damaged files take HDF5 down.

    Raises CnncliError if it did, and what the function raises.
    """
    if not survives(read):
        raise CnncliError(f"{path}: is damaged: HDF5 can't read it")
    return read()


class Stored:
    """An HDF5 file open for reading. Links are not followed."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self.file = path, file

    @classmethod
    @contextmanager
    def opened(cls, path: Path, content: IO[bytes]) -> "Iterator[Stored]":
        """The HDF5 file in `content`; `path` is for messages."""
        import h5py

        try:
            file = h5py.File(content, "r")
        except DAMAGED:
            raise CnncliError(f"{path}: its weights are damaged or no HDF5 file") from None
        with file:
            yield cls(path, file)

    def group(self, *names: str) -> Any | None:
        """A group by the names that lead to it, or None."""
        import h5py

        found = self.file
        for name in names:
            found = self._member(found, name)
            if not isinstance(found, h5py.Group):
                return None
        return found

    def names(self, group: Any) -> list[str]:
        """The names in a group. Raises CnncliError for more than any network has."""
        with self._errors():
            if len(group) > MOST:
                raise CnncliError(f"{self.path}: a group must have at most {MOST:,} names; received {len(group):,}")
            return [str(name) for name in group]

    def attribute(self, group: Any, name: str) -> Any:
        """An attribute, or None. Raises CnncliError for one of more values or bytes than any file of Keras has."""
        with self._errors():
            if name not in group.attrs:
                return None
            found = group.attrs.get_id(name)
            count = prod(found.shape or ())
            if count > MOST or count * found.dtype.itemsize > LARGEST_TEXT:
                raise CnncliError(f"{self.path}: is damaged: {name} has {count:,} values")
            return group.attrs[name]

    def arrays(self, *names: str) -> Mapping[str, Array]:
        """The arrays in a group by name, in the order of their numbers; empty if there is no such group."""
        group = self.group(*names)
        if group is None:
            return {}
        known = sorted(self.names(group), key=lambda name: (len(name), name))
        return {name: self.array(group, name, "/".join((*names, name))) for name in known}

    def array(self, group: Any, name: str, shown: str) -> Array:
        """An array of numbers. Raises CnncliError for what is not stored in the file, or less than its shape says."""
        import h5py

        member = self._member(group, name)
        with self._errors():
            if not isinstance(member, h5py.Dataset) or member.shape is None or member.dtype.kind not in "iuf":
                raise CnncliError(f"{self.path}: {shown} must be an array of numbers")
            if member.external or member.is_virtual:
                raise CnncliError(f"{self.path}: {shown} is stored in other files, which are never opened")
            size = prod(member.shape) * member.dtype.itemsize
            if member.id.get_storage_size() < size:
                raise CnncliError(
                    f"{self.path}: {shown} must be stored whole and uncompressed: it takes {size:,} bytes"
                )
            array = np.empty(member.shape, member.dtype)
            if size:
                member.read_direct(array)
            return array

    def _member(self, group: Any, name: str) -> Any | None:
        import h5py

        with self._errors():
            link = group.get(name, getlink=True)
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise CnncliError(f"{self.path}: {name} is a link, which is never followed")
            return group[name]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DAMAGED as error:
            raise CnncliError(f"{self.path}: its weights are damaged: {error}") from None
