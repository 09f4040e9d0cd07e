"""Model files and checkpoints: safetensors with everything needed to use, or to go on training, a model.

A model file has the weights by name ("conv2d/kernel") and these metadata, all strings: "format", "spec" (the resolved
spec as JSON), "class_names" (JSON), "rescale" (JSON), "tone" (how light the training images are, JSON), "weights"
(their names in model order, JSON), "digest" (SHA-256 of the weights), and "seal", the SHA-256 of all of it. A
checkpoint also has the tensors and the "state" (JSON) of the training. Both are written so that at any instant the old
file or the new one loads.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialize

from cnncli.errors import CnncliError
from cnncli.hints import reason

Array = np.ndarray[Any, Any]
FORMAT = "cnncli 1"
LONGEST_HEADER = 16 << 20


@dataclass(frozen=True)
class ModelFile:
    """What a file holds. `weights`: by name, in model order. `extra`: further tensors of a checkpoint.

    `metadata`: the strings that go with them, without those that are about the file itself.
    """

    weights: Mapping[str, Array]
    metadata: Mapping[str, str]
    extra: Mapping[str, Array] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """ "sha256:…" of the weights."""
        return digest(self.weights.items())


def digest(tensors: Iterable[tuple[str, Array]]) -> str:
    """ "sha256:…" of tensors: name, dtype, shape and little-endian bytes of each, in the order given."""
    state = hashlib.sha256()
    for name, tensor in tensors:
        state.update(repr((name, tensor.dtype.name, tuple(tensor.shape))).encode())
        state.update(np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<")).data)
    return f"sha256:{state.hexdigest()}"


def save(path: Path, model: ModelFile) -> None:
    """Write a model file or a checkpoint. Raises CnncliError, with the old file as it was, where that fails."""
    tensors = {**model.weights, **model.extra}
    metadata = {
        **model.metadata,
        "format": FORMAT,
        "weights": json.dumps(list(model.weights)),
        "digest": model.digest,
    }
    metadata["seal"] = _seal(tensors, metadata)
    content = serialize({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, metadata)
    write(path, _ordered(content))


def load(path: Path) -> ModelFile:
    """Read what `save` wrote. Raises CnncliError for a file that can't be read, is no model file, or is damaged."""
    content = _read(path)
    header = _header(path, content)
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise CnncliError(f"{path}: is not a model file of cnncli (no {FORMAT!r} in its metadata)")
    try:
        tensors = parse(content)
        names = json.loads(metadata["weights"])
        whole = {name: tensors[name] for name in names} | tensors
        sealed = metadata.pop("seal") == _seal(whole, metadata)
    except SafetensorError as error:
        raise CnncliError(f"{path}: is damaged: {error}") from None
    except (KeyError, TypeError, ValueError):
        sealed = False
    if not sealed:
        raise CnncliError(f"{path}: is damaged: its content does not match its SHA-256")
    weights = {name: tensors.pop(name) for name in names}
    about = {key: text for key, text in metadata.items() if key not in ("format", "weights", "digest")}
    return ModelFile(weights, about, tensors)


def write(path: Path, content: bytes) -> None:
    """Replace the file at `path`, for good and at once: temporary file, fsync, rename, fsync of the folder.

    Raises CnncliError where that fails; then the old file is as it was and no temporary file is left.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)
    except OSError as error:
        before = "; the file written before is intact" if path.is_file() else ""
        why = reason(error) if path.parent.is_dir() else f"there is no folder '{path.parent}'"
        raise CnncliError(f"{path}: can't be written: {why}{before}") from None


def sync(folder: Path) -> None:
    """Make names in `folder` outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ordered(content: bytes) -> bytes:
    """The same file with its metadata sorted: the library's order changes from process to process."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def _seal(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> str:
    """SHA-256 of all tensors and metadata; the order of either does not matter."""
    about = json.dumps(metadata, sort_keys=True)
    return digest([(about, np.zeros(0)), *sorted(tensors.items(), key=lambda item: item[0])])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {error.strerror or error}") from None


def _header(path: Path, content: bytes) -> dict[str, Any]:
    """The header: 8 bytes of its length, then JSON. Sizes are checked before anything is parsed."""
    if len(content) < 8:
        raise CnncliError(f"{path}: is not a safetensors file")
    (length,) = struct.unpack("<Q", content[:8])
    if length > LONGEST_HEADER or not content[8:9] == b"{":
        raise CnncliError(f"{path}: is not a safetensors file")
    if 8 + length > len(content):
        raise CnncliError(f"{path}: is truncated: {len(content):,} bytes, not even the header is whole")
    try:
        header = json.loads(content[8 : 8 + length])
        size = (
            8 + length + max((entry["data_offsets"][1] for key, entry in header.items() if key[:2] != "__"), default=0)
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise CnncliError(f"{path}: is damaged: its header can't be read") from None
    if size > len(content):
        raise CnncliError(f"{path}: is truncated: {len(content):,} of {size:,} bytes")
    return header  # type: ignore[no-any-return]
