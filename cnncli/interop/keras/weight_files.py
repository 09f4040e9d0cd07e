"""Keras' HDF5 files: weights alone (`.weights.h5`, or `.h5` of older versions) and whole models (`.h5`)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from cnncli.errors import CnncliError, UsageError, reason
from cnncli.extras import require
from cnncli.interop.incoming.draft import Array, Draft, Refusals
from cnncli.interop.incoming.onto import FileLayer
from cnncli.interop.keras.config import Reader
from cnncli.interop.keras.reading import compile_section
from cnncli.interop.keras.stored import DEEPEST, Stored
from cnncli.system import memory
from cnncli.system.files import read_bounded

LARGEST_TEXT = 32 << 20
ALONE = "has weights alone: say whose with --spec SPEC, a spec with the same layers"
Layers = Mapping[str, Sequence[Array]]
"""Arrays by the path of their layer, in the order of the file."""


def read(path: Path, size: tuple[int, int] | None) -> tuple[Draft, Refusals]:
    """The draft of a whole model. Raises UsageError for weights alone, CnncliError for a bad file."""
    with _opened(path) as stored:
        config, compiled = (_json(stored, name) for name in ("model_config", "training_config"))
        if config is None:
            raise UsageError(f"{path}: {ALONE}")
        reader = Reader(path, ByName(_of_names(stored, ("model_weights",))), size)
        draft = reader.draft(config)
    section, notes = compile_section(_compiled(compiled))
    return Draft(draft.input_shape, draft.entries, section, notes), reader.refusals


def layers(path: Path) -> list[FileLayer]:
    """The weights of each layer of a file. Raises CnncliError for a bad file."""
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
    with Stored.opened(path, BytesIO(content)) as stored:
        yield stored


def _json(stored: Stored, name: str) -> Any:
    """An attribute of the file as JSON, or None."""
    text = stored.attribute(stored.file, name)
    if not isinstance(text, str | bytes) or len(text) > LARGEST_TEXT:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise CnncliError(f"{stored.path}: is damaged: {name} can't be read as JSON") from None


def _compiled(config: Any) -> Any:
    """What a model was compiled with, whose keys older versions call otherwise."""
    if isinstance(config, Mapping) and "optimizer_config" in config:
        return {**config, "optimizer": config["optimizer_config"]}
    return config


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
