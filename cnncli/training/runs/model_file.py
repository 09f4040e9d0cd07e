"""Reading model files without NumPy: header, metadata and verification of the seal.

A safetensors file is 8 bytes of the header's length, the header, which is JSON, and the tensors' bytes, little-endian.
The metadata are described in `checkpoint`. Files are untrusted, even with a valid seal: every type and size is
validated.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from cnncli.errors import CnncliError, reason
from cnncli.system import memory
from cnncli.system.files import open_regular
from cnncli.training.runs import typed_json

FORMAT = "cnncli 1"
LONGEST_HEADER = 16 << 20
MOST_AXES, LONGEST_AXIS = 16, 1 << 40
DTYPES = {
    "BOOL": ("bool", 1),
    **{
        f"{kind[0].upper()}{8 * size}": (f"{kind}{8 * size}", size) for kind in ("int", "uint") for size in (1, 2, 4, 8)
    },
    **{f"F{8 * size}": (f"float{8 * size}", size) for size in (2, 4, 8)},
}
"""NumPy name and item size in bytes of each safetensors dtype."""
DAMAGED = "is damaged: its content does not match its SHA-256"


class Tensor(NamedTuple):
    """A tensor: name, NumPy name of its dtype, shape, and bytes (C-contiguous, little-endian)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    content: bytes | memoryview


@dataclass(frozen=True)
class About:
    """The metadata of the file `path`: strings, most of them JSON. Properties raise CnncliError, naming the file
    and the key, for values of the wrong type.
    """

    path: Path
    texts: Mapping[str, str]

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The resolved spec, not yet validated."""
        found: dict[str, Any] = self.value("spec", dict[str, Any])
        return found

    @cached_property
    def weights(self) -> list[str]:
        """The names of the model's tensors, in model order."""
        found: list[str] = self.value("weights", list[str])
        return found

    @cached_property
    def class_names(self) -> list[str]:
        """The class names; empty without classes."""
        found: list[str] = self.value("class_names", list[str]) if "class_names" in self.texts else []
        return found

    @cached_property
    def epoch(self) -> int:
        """The epoch (from 1) of the weights; 0 for initial weights."""
        text = self.texts.get("epoch", "0")
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise CnncliError(f"{self.path}: epoch must be an integer ≥ 0; received {text[:40]!a}")
        return int(text)

    def value(self, key: str, kind: Any) -> Any:
        """The JSON value of `key`, converted to the type `kind` (see `typed`)."""
        if key not in self.texts:
            raise CnncliError(f"{self.path}: the metadata must have {key!r}, which is missing")
        try:
            return typed_json.parse(self.texts[key], kind)
        except ValueError as error:
            raise CnncliError(f"{self.path}: {key}{error}") from None


def about(path: Path) -> About:
    """Read the metadata only; the tensors are not verified. Raises CnncliError."""
    return _opened(path, whole=False)[0]


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the model's tensors by name, in model order; the tensors are not verified. Raises CnncliError."""
    found, tensors = _opened(path, whole=False)
    _check(found, {tensor.name: tensor.dtype for tensor in tensors})
    by_name = {tensor.name: tensor.shape for tensor in tensors}
    return {name: by_name[name] for name in found.weights}


def read(path: Path) -> tuple[About, list[Tensor]]:
    """Read a file and verify its seal. Raises CnncliError if it does not match."""
    found, tensors = _opened(path, whole=True)
    texts = dict(found.texts)
    if texts.pop("seal", None) != seal(tensors, texts):
        raise CnncliError(f"{path}: {DAMAGED}")
    _check(found, {tensor.name: tensor.dtype for tensor in tensors})
    return found, tensors


def _check(found: About, dtypes: Mapping[str, str]) -> None:
    """Raise CnncliError for invalid metadata."""
    names = found.weights
    if len(set(names)) < len(names) or not set(names) <= dtypes.keys():
        raise CnncliError(f"{found.path}: weights must name tensors of the file, each once")
    for name in names:
        if dtypes[name] != "float32":
            raise CnncliError(f"{found.path}: the weight {name!a} must be float32; it is {dtypes[name]}")
    _ = found.class_names, found.epoch  # reading validates them


def seal(tensors: Iterable[Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of all tensors and metadata; the order of either does not matter."""
    text = Tensor(json.dumps(metadata, sort_keys=True), "float64", (0,), b"")
    return digest([text, *sorted(tensors, key=lambda tensor: tensor.name)])


def digest(tensors: Iterable[Tensor]) -> str:
    """ "sha256:…" of tensors: name, dtype, shape and bytes of each, in the order given."""
    state = hashlib.sha256()
    for name, dtype, shape, content in tensors:
        state.update(repr((name, dtype, shape)).encode())
        state.update(content)
    return f"sha256:{state.hexdigest()}"


@dataclass(slots=True)
class _Entry:
    """Header entry of a tensor. `data_offsets`: start and end (exclusive) in bytes after the header."""

    dtype: str
    shape: list[int]
    data_offsets: list[int]

    @property
    def size(self) -> int:
        """Its size in bytes; raises KeyError for an unknown dtype."""
        return prod(self.shape) * DTYPES[self.dtype][1]


def _opened(path: Path, *, whole: bool) -> tuple[About, list[Tensor]]:
    """Metadata and, if `whole`, tensors. Every size is validated before reading."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(9)
            length = int.from_bytes(start[:8], "little")
            if len(start) < 9 or length > LONGEST_HEADER or start[8:] != b"{":
                raise CnncliError(f"{path}: is not a safetensors file")
            if 8 + length > size:
                raise CnncliError(f"{path}: is truncated: {size:,} bytes, not even the header is whole")
            metadata, entries = _header(path, start[8:] + file.read(length - 1), size - 8 - length)
            if whole and size > memory.limit():
                raise CnncliError(
                    f"{path}: takes {memory.shown(size)} of memory, of which this process may use "
                    f"{memory.shown(memory.limit())}"
                )
            content = memoryview(file.read() if whole else b"")
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {reason(error)}") from None
    if whole and 8 + length + len(content) != size:
        raise CnncliError(f"{path}: has changed while it was read")
    tensors = [
        Tensor(name, DTYPES[entry.dtype][0], tuple(entry.shape), content[slice(*entry.data_offsets)])
        for name, entry in entries.items()
    ]
    return About(path, metadata), tensors


def _header(path: Path, text: bytes, left: int) -> tuple[dict[str, str], dict[str, _Entry]]:
    """Metadata, and the entry of each tensor in the `left` bytes after the header, contiguous and without gaps."""
    try:
        header = typed_json.parse(text.decode(), dict[str, Any])
        metadata = typed_json.typed(header.pop("__metadata__", {}), dict[str, str])
        entries = typed_json.typed(header, dict[str, _Entry])
        ordered = sorted(entries.values(), key=lambda entry: entry.data_offsets)
        ends = [0, *(entry.data_offsets[1] for entry in ordered)]
        fits = all(
            entry.data_offsets == [end, end + entry.size] and _is_shape(entry.shape)
            for entry, end in zip(ordered, ends, strict=False)
        )
    except (ValueError, KeyError, IndexError):
        raise CnncliError(f"{path}: is damaged: its header can't be read") from None
    if fits and ends[-1] > left:
        raise CnncliError(f"{path}: is truncated: {8 + len(text) + left:,} of {8 + len(text) + ends[-1]:,} bytes")
    if metadata.get("format") != FORMAT:
        raise CnncliError(f"{path}: is not a model file of cnncli (no {FORMAT!r} in its metadata)")
    if not fits or ends[-1] != left:
        raise CnncliError(f"{path}: is damaged: its tensors are not where its header says")
    return metadata, entries


def _is_shape(shape: list[int]) -> bool:
    """Whether the shape is valid for an array."""
    return len(shape) <= MOST_AXES and all(0 <= length < LONGEST_AXIS for length in shape)
