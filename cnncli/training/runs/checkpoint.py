"""Model files and checkpoints: safetensors with everything needed to use a model or resume its training.

A model file has the weights by name ("conv2d/kernel") and these metadata, all strings: "format", "spec" (the resolved
spec as JSON), "class_names" (JSON), "rescale" (JSON), "tone" (brightness of the training images, JSON), "weights"
(their names in model order, JSON), "digest" (SHA-256 of the weights), and "seal", the SHA-256 of all of it. A
checkpoint also has the tensors and the "state" (JSON) of the training. Both are written atomically.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as serialize

from cnncli.errors import CnncliError
from cnncli.system import atomic
from cnncli.training.runs import model_file
from cnncli.training.runs.model_file import FORMAT, About, Tensor

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ModelFile:
    """Contents of a model file. `weights`: by name, in model order. `extra`: additional tensors of a checkpoint.

    `metadata`: strings, without those that describe the file itself. `path`: the file it was read from.
    """

    weights: Mapping[str, Array]
    metadata: Mapping[str, str]
    extra: Mapping[str, Array] = field(default_factory=dict)
    path: Path = Path()

    @property
    def digest(self) -> str:
        """ "sha256:…" of the weights."""
        return digest(self.weights.items())

    @property
    def about(self) -> About:
        """The metadata, with their types."""
        return About(self.path, self.metadata)


def digest(tensors: Iterable[tuple[str, Array]]) -> str:
    """ "sha256:…" of tensors: name, dtype, shape and little-endian bytes of each, in the order given."""
    return model_file.digest(starmap(_plain, tensors))


def save(path: Path, model: ModelFile) -> None:
    """Write a model file or a checkpoint. On failure, raises CnncliError and leaves the old file unchanged."""
    tensors = {**model.weights, **model.extra}
    metadata = {
        **model.metadata,
        "format": FORMAT,
        "weights": json.dumps(list(model.weights)),
        "digest": model.digest,
    }
    metadata["seal"] = model_file.seal(starmap(_plain, tensors.items()), metadata)
    content = serialize({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, metadata)
    atomic.write(path, ordered(content))


def load(path: Path) -> ModelFile:
    """Read what `save` wrote; arrays are read-only.

    Raises CnncliError if the file can't be read, is not a model file or is damaged, or if weights are not finite
    float32.
    """
    about, contents = model_file.read(path)
    tensors = {
        name: np.frombuffer(content, np.dtype(dtype).newbyteorder("<")).reshape(shape)
        for name, dtype, shape, content in contents
    }
    weights = {name: tensors.pop(name) for name in about.weights}
    for name, weight in weights.items():
        if not np.isfinite(weight).all():
            value = weight[~np.isfinite(weight)][0]
            raise CnncliError(f"{path}: the weight {name!a} must hold finite numbers; it holds {value}")
    own = ("format", "weights", "digest", "seal")
    return ModelFile(weights, {key: text for key, text in about.texts.items() if key not in own}, tensors, path)


def ordered(content: bytes) -> bytes:
    """The same file with sorted metadata: safetensors' order differs between processes."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def _plain(name: str, array: Array) -> Tensor:
    """An array as a tensor of `model_file`."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return Tensor(name, array.dtype.name, tuple(array.shape), little.data)
