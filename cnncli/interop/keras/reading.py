"""Keras archives → drafts: network, weights, and what it was compiled with."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.interop.incoming.draft import Array, Draft, Refusals, UnsupportedError
from cnncli.interop.incoming.text import short
from cnncli.interop.keras.archive import opened
from cnncli.interop.keras.config import Reader
from cnncli.interop.keras.serialized import plain
from cnncli.interop.keras.stored import Stored, tried
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.training.sections import CompileSection


def read(path: Path, size: tuple[int, int] | None) -> tuple[Draft, Refusals]:
    """The draft of a `.keras` archive, with what can't be imported. Raises CnncliError for a bad file.

    `size`: height and width of the images, where the network leaves them open.
    """
    return tried(path, lambda: _read(path, size))


def _read(path: Path, size: tuple[int, int] | None) -> tuple[Draft, Refusals]:
    with opened(path) as (config, stored):
        reader = Reader(path, ByPlace(stored), size)
        draft = reader.draft(config)
    compiled, notes = compile_section(config.get("compile_config"))
    return Draft(draft.input_shape, draft.entries, compiled, notes), reader.refusals


class ByPlace:
    """Weights of a `.weights.h5` file, whose groups are those of models and layers."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored

    def of(self, place: Sequence[str], names: Sequence[str]) -> Sequence[Array]:
        """The arrays of the layer at `place`."""
        del names
        return list(self.stored.arrays(*place, "vars").values())


def compile_section(config: Any) -> tuple[dict[str, Any], list[str]]:
    """The keys of `compile` that can be said, and a note for each that can't."""
    if not isinstance(config, Mapping):
        return {}, []
    found: dict[str, Any] = {}
    notes = []
    for key, value in _sections(config):
        kind = CompileSection.kinds()[key]
        try:
            said = _rounded(plain(value))
            found[key] = _kept(said, kind.read(said))
        except (UnsupportedError, ValidationError) as error:
            notes.append(f"Not taken over: {key} ({error}).")
    return (found if "loss" in found else {}), notes


def _sections(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in ("optimizer", "loss", "metrics"):
        value = config.get(key)
        if isinstance(value, list) and len(value) == 1 and (key == "loss" or isinstance(value[0], list)):
            value = value[0]  # of the only output
        if value:
            yield key, value


def _kept(said: Any, read: Any) -> Any:
    """Names as they were said; declarations in short."""
    if isinstance(said, list) and isinstance(read, tuple) and len(said) == len(read):
        return [_kept(*pair) for pair in zip(said, read, strict=True)]
    return said if isinstance(said, str) else short(read)


def _rounded(value: Any) -> Any:
    """Numbers with as many digits as float32 has: 0.001, not 0.0010000000474974513."""
    if isinstance(value, float) and isfinite(value):
        near = float(str(np.float32(value)))
        return near if np.float32(near) == np.float32(value) and near else value
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
