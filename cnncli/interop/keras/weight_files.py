"""Keras' HDF5 files: weights alone (`.weights.h5`, or `.h5` of older versions) and whole models (`.h5`)."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from cnncli.errors import CnncliError, UsageError, reason
from cnncli.extras import require
from cnncli.interop.incoming.draft import Array, Draft, Refusals
from cnncli.interop.incoming.onto import FileLayer
from cnncli.interop.keras.config import Reader
from cnncli.interop.keras.keras2 import compiled
from cnncli.interop.keras.reading import compile_section
from cnncli.interop.keras.stored import DEEPEST, LARGEST_TEXT, MOST, Stored, tried
from cnncli.system import memory
from cnncli.system.files import read_bounded

HEAP = rb"GCOL\x01"
"""How a heap of strings begins."""
MOST_STRINGS, HEADER = 1_000_000, 16
"""Strings in a file; bytes before each in its heap."""
ALONE = "has weights alone: say whose with --spec SPEC, a spec with the same layers"
Layers = Mapping[str, Sequence[Array]]
"""Arrays by the path of their layer, in the order of the file."""


def read(path: Path, size: tuple[int, int] | None) -> tuple[Draft, Refusals]:
    """The draft of a whole model. Raises UsageError for weights alone, CnncliError for a bad file."""
    return tried(path, lambda: _read(path, size))


def layers(path: Path) -> list[FileLayer]:
    """The weights of each layer of a file. Raises CnncliError for a bad file."""
    return tried(path, lambda: _layers(path))


def _read(path: Path, size: tuple[int, int] | None) -> tuple[Draft, Refusals]:
    with _opened(path) as stored:
        config, training = (_json(stored, name) for name in ("model_config", "training_config"))
        if config is None:
            raise UsageError(f"{path}: {ALONE}")
        reader = Reader(path, ByName(_of_names(stored, ("model_weights",))), size)
        draft = reader.draft(config)
    section, notes = compile_section(compiled(training) if isinstance(training, Mapping) else None)
    return Draft(draft.input_shape, draft.entries, section, notes), reader.refusals


def _layers(path: Path) -> list[FileLayer]:
    with _opened(path) as stored:
        place = () if stored.attribute(stored.file, "layer_names") is not None else ("model_weights",)
        if stored.group(*place) is not None and stored.attribute(stored.group(*place), "layer_names") is not None:
            return [FileLayer(name, arrays) for name, arrays in _of_names(stored, place).items()]
        found = list(_of_groups(stored, ("layers",), ()))
        if not found:
            raise CnncliError(f"{path}: has no weights as Keras writes them")
        return found


class ByName:
    """Weights of a whole model, whose groups are those of the outermost layers, and whose weights have paths."""

    def __init__(self, found: Layers) -> None:
        self.found = found

    def of(self, place: Sequence[str], names: Sequence[str]) -> Sequence[Array]:
        """The arrays of a layer by the names of the models around it and its own."""
        del place
        group, own = names[0], names[-1]
        fitting = [path for path in self.found if path.split("/")[0] == group and path.split("/")[-1] == own]
        fitting = [path for path in fitting if len(fitting) == 1 or path.endswith("/".join(names[-2:]))]
        return self.found[fitting[0]] if len(fitting) == 1 else []


@contextmanager
def _opened(path: Path) -> Iterator[Stored]:
    require(f"{path}, an HDF5 file,", "h5py", ("h5py",), "keras")
    try:
        content = read_bounded(path, memory.limit() // 2)
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {reason(error)}") from None
    _check_strings(path, content)
    with Stored.opened(path, BytesIO(content)) as stored:
        if stored.file.userblock_size:
            raise CnncliError(f"{path}: must be an HDF5 file from its first byte on")
        yield stored


def _check_strings(path: Path, content: bytes) -> None:
    """Raise CnncliError for strings that HDF5 would read without an end, or make gigabytes of room for.

    A string is stored as its length, the address of a heap in 8 bytes, and its number in the heap.
    """
    damaged = CnncliError(f"{path}: is damaged: its strings can't be read")
    heaps = [found.start() for found in islice(re.finditer(HEAP, content), MOST + 1)]
    count = 0
    for heap in heaps:
        sizes = _strings(content, heap)
        if sizes is None or len(heaps) > MOST:
            raise damaged
        address = heap.to_bytes(8, "little")
        place = content.find(address, 4)
        while place >= 0:
            count += 1
            number = _integer(content, place + 8, 4)
            if count > MOST_STRINGS or (number in sizes and _integer(content, place - 4, 4) > sizes[number]):
                raise damaged
            place = content.find(address, place + 1)


def _strings(content: bytes, heap: int) -> dict[int, int] | None:
    """The sizes of a heap's strings by their numbers; None if they are not one after the other up to its end."""
    end, place, sizes = heap + _integer(content, heap + 8, 8), heap + 16, dict[int, int]()
    if end > len(content):
        return None
    while end - place >= HEADER:
        number, size = _integer(content, place, 2), _integer(content, place + 8, 8)
        if number == 0:  # what is free
            return sizes if size == end - place else None
        sizes[number] = size
        place += HEADER + -(-size // 8) * 8
    return sizes if place <= end else None


def _integer(content: bytes, place: int, size: int) -> int:
    return int.from_bytes(content[place : place + size], "little")


def _json(stored: Stored, name: str) -> Any:
    """An attribute of the file as JSON, or None."""
    text = stored.attribute(stored.file, name)
    if not isinstance(text, str | bytes) or len(text) > LARGEST_TEXT:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise CnncliError(f"{stored.path}: is damaged: {name} can't be read as JSON") from None


def _of_names(stored: Stored, place: Sequence[str]) -> Layers:
    """The layers that the attribute `layer_names` lists, each with the paths that `weight_names` lists."""
    found: dict[str, list[Array]] = {}
    root = stored.group(*place)
    for layer in _texts(stored, root, "layer_names"):
        group = stored.group(*place, layer)
        if group is None:
            raise CnncliError(f"{stored.path}: is damaged: it has no group {layer}")
        for name in _texts(stored, group, "weight_names"):
            *inner, own = name.split("/")
            holder = stored.group(*place, *layer.split("/"), *inner)
            if holder is None:
                raise CnncliError(f"{stored.path}: is damaged: it has no weight {name}")
            nested = [] if inner[-1:] == [layer] else inner[1:] if inner[:1] == [layer] else inner
            path = "/".join([layer, *nested])
            found.setdefault(path, []).append(stored.array(holder, own, name))
    return found


def _of_groups(stored: Stored, place: Sequence[str], models: Sequence[str]) -> Iterator[FileLayer]:
    """The layers of a `.weights.h5` file: groups with `vars`, which have their names, in those of models."""
    group = stored.group(*place)
    if group is None or len(place) > DEEPEST:
        return
    for numbered in stored.names(group):
        kept = stored.group(*place, numbered, "vars")
        name = stored.attribute(kept, "name") if kept is not None else None
        name = name if isinstance(name, str) else numbered
        arrays = list(stored.arrays(*place, numbered, "vars").values())
        if arrays:
            yield FileLayer("/".join((*models, name)), arrays, "/".join((*place[1::2], numbered)))
        yield from _of_groups(stored, (*place, numbered, "layers"), (*models, name))


def _texts(stored: Stored, group: Any, name: str) -> list[str]:
    """A list of names; in chunks name0, name1, … where it is long."""
    values = stored.attribute(group, name)
    chunks = [values] if values is not None else []
    while not chunks or (values is None and chunks[-1] is not None):
        chunks.append(stored.attribute(group, f"{name}{len(chunks)}"))
    found = [one for chunk in chunks if chunk is not None for one in chunk]
    return [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in found]
