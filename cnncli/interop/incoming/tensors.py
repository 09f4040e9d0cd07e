"""Weights in plain safetensors files: by layer, in the order of the file."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnncli.errors import CnncliError, reason
from cnncli.interop.incoming.draft import Array
from cnncli.interop.incoming.onto import FileLayer
from cnncli.system import memory
from cnncli.system.files import open_regular


def read(path: Path) -> Mapping[str, Array]:
    """The arrays by name. Raises CnncliError for a bad file."""
    from safetensors import SafetensorError, safe_open

    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {reason(error)}") from None
    if size > memory.limit() // 3:
        raise CnncliError(f"{path}: takes {memory.shown(size)}, more than a third of the memory of this process")
    try:
        with safe_open(path, framework="np") as file:
            names = _model_order((file.metadata() or {}).get("weights"), file.offset_keys())
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise CnncliError(f"{path}: is damaged or no safetensors file: {error}") from None


def _model_order(listed: str | None, names: list[str]) -> list[str]:
    """The names in the order that a model file of ours lists, otherwise in that of the file, which is sorted."""
    try:
        order = json.loads(listed or "null")
    except (ValueError, RecursionError):
        return names
    known = set(names)
    return (
        [name for name in order if name in known] if isinstance(order, list) and known <= {*map(str, order)} else names
    )


def layers(arrays: Mapping[str, Array]) -> list[FileLayer]:
    """The layers: names up to the last / or dot."""
    found: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        layer, separator, own = name.rpartition("/" if "/" in name else ".")
        if separator and array.dtype.kind == "f":
            found.setdefault(layer, {})[own] = np.asarray(array)
    return [FileLayer(name, list(own.values()), names=list(own)) for name, own in found.items()]
