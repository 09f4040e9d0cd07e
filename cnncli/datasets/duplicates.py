"""Images that there are more than once, told by their bytes."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cnncli.datasets.load import Split

Array = np.ndarray[Any, Any]
SIZE = 16
"""Bytes of a fingerprint: among 10¹⁰ images the odds that two different ones share theirs are 10⁻¹⁹."""


def fingerprint(image: bytes | memoryview) -> bytes:
    """What images of the same bytes, and only they, have in common."""
    return hashlib.blake2b(image, digest_size=SIZE).digest()


def groups(splits: "Mapping[str, Split]") -> list[list[tuple[str, int]]]:
    """The images that there are more than once: for each its split and its row there, split after split."""
    places: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for name, split in splits.items():
        for row in split.numbers.tolist():
            places[_fingerprint(split, row)].append((name, row))
    return [group for group in places.values() if len(group) > 1]


def across(splits: "Mapping[str, Split]") -> list[list[str]]:
    """The names of those of them that are in several splits: what is judged by was trained on."""
    if len(splits) < 2:
        return []
    crossing = [group for group in groups(splits) if len({name for name, _ in group}) > 1]
    return [[f"{name} {splits[name].name(row)}" for name, row in group] for group in crossing]


def _fingerprint(split: "Split", row: int) -> bytes:
    if split.fingerprints is not None:
        return bytes(split.fingerprints[row])
    return fingerprint(np.ascontiguousarray(split.x[row]).data)
