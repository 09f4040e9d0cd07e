"""Near-duplicates: images that differ by little but size, brightness, compression or a shift of about a pixel.

A perceptual hash finds candidates: the signs of the 64 lowest frequencies (DCT) of a gray thumbnail. Of two hashes with
at most 8 different bits, the thumbnails are compared in color: their correlation decides.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SIDE = 16
"""Pixels of a thumbnail, in both directions."""
MOST_BITS = 8
"""Different bits of the hashes of near-duplicates, of 64."""
LEAST_CORRELATION, LEAST_OF_SMALL, SMALL = 0.975, 0.99, 32
"""Of the thumbnails of near-duplicates; of images with a side of less than so many pixels, whose thumbnails hide less.
"""
FLAT = 2.0
"""Standard deviation of gray levels below which a thumbnail shows nothing to compare."""
SLACK = 0.02
"""Share of the largest coefficient that one must exceed to count as positive: around 0 the sign is noise."""
BANDS = 10
"""Groups of bits: of two hashes with at most 8 different bits, at least two groups are equal."""
WINDOW = 128
"""Images of equal groups that each is compared with: where there are more, time stays proportional to the images."""
PORTION = 1 << 14
"""Thumbnails, or pairs of them, that are looked at together."""
WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue in gray (ITU-R BT.601)."""


def near_duplicates(thumbnails: Array, sides: Array) -> list[list[int]]:
    """Groups of rows that are linked by near-duplicates, in order. `thumbnails`: uint8 (N, SIDE, SIDE, 3); `sides`: the
    smaller side of the images in pixels (N,).

    Thumbnails that show nothing are in no group.
    """
    hashes, vectors = np.empty(len(thumbnails), np.uint64), np.empty((len(thumbnails), 3 * SIDE * SIDE), np.int8)
    seen = np.empty(len(thumbnails), bool)
    for start in range(0, len(thumbnails), PORTION):
        part = slice(start, start + PORTION)
        gray = thumbnails[part] @ WEIGHTS
        hashes[part], vectors[part] = perceptual_hashes(gray), _vectors(thumbnails[part])
        seen[part] = gray.std(axis=(1, 2)) >= FLAT
    rows = np.flatnonzero(seen)
    links, least = _Links(len(thumbnails)), np.where(sides < SMALL, LEAST_OF_SMALL, LEAST_CORRELATION)
    for pairs in candidates(hashes, rows):
        first, second = links.apart(pairs)
        near = _correlation(vectors[first], vectors[second]) >= np.maximum(least[first], least[second])
        links.join(first[near], second[near])
    return links.groups()


def perceptual_hashes(gray: Array) -> Array:
    """The hashes of gray thumbnails (N, SIDE, SIDE): uint64 (N,)."""
    steps = np.arange(SIDE)
    waves = np.cos(np.pi * steps[:, None] * (steps + 0.5) / SIDE).astype(np.float32)
    spectrum = (waves @ gray @ waves.T).reshape(len(gray), SIDE * SIDE)
    down, across = np.divmod(np.arange(SIDE * SIDE), SIDE)
    lowest = np.argsort(down**2 + across**2, kind="stable")[1:65]
    chosen = spectrum[:, lowest]
    bits = chosen > SLACK * np.abs(chosen).max(axis=1, keepdims=True, initial=0.0)
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint64).reshape(-1)


def _vectors(thumbnails: Array) -> Array:
    """Thumbnails without their mean, int8 (n, 3 · SIDE²), the largest of each ±127: contrast does not matter."""
    flat = thumbnails.reshape(len(thumbnails), 3 * SIDE * SIDE).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    largest = np.abs(flat).max(axis=1, keepdims=True).clip(1.0)
    return np.asarray((flat * (127 / largest)).round(), np.int8)


def candidates(hashes: Array, rows: Array) -> Iterator[Array]:
    """Pairs of `rows` whose hashes differ by at most MOST_BITS, int64 (2, n), in portions; some more than once."""
    bounds = [64 * band // BANDS for band in range(BANDS + 1)]
    masks = [(1 << stop) - (1 << start) for start, stop in pairwise(bounds)]
    for one, other in combinations(masks, 2):
        keys = hashes[rows] & np.uint64(one | other)
        sorting = np.lexsort((hashes[rows], keys))
        keys, order, starts = keys[sorting], rows[sorting], np.arange(len(rows))
        for step in range(1, min(WINDOW, len(order) - 1) + 1):
            starts = starts[starts < len(order) - step]
            starts = starts[keys[starts] == keys[starts + step]]
            if not len(starts):
                break
            pairs = np.stack([order[starts], order[starts + step]])
            pairs = pairs[:, np.bitwise_count(hashes[pairs[0]] ^ hashes[pairs[1]]) <= MOST_BITS]
            for begin in range(0, pairs.shape[1], PORTION):
                yield pairs[:, begin : begin + PORTION]


def _correlation(first: Array, second: Array) -> Array:
    """Of pairs of vectors, int8 (n, D): float32 (n,)."""
    one, other = first.astype(np.float32), second.astype(np.float32)
    products, one_square, other_square = (
        np.einsum("ij,ij->i", left, right) for left, right in ((one, other), (one, one), (other, other))
    )
    return np.asarray(products / np.sqrt(one_square * other_square))


class _Links:
    """Rows, and which are linked: a forest whose roots stand for the groups."""

    def __init__(self, count: int) -> None:
        self._parents = np.arange(count)

    def apart(self, pairs: Array) -> Array:
        """The pairs, (2, n), that are not in one group yet."""
        return pairs[:, self._roots(pairs[0]) != self._roots(pairs[1])]

    def join(self, first: Array, second: Array) -> None:
        """Link the rows of each pair."""
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            low, high = sorted((self._root(one), self._root(other)))
            self._parents[high] = low

    def groups(self) -> list[list[int]]:
        """The rows of each group of at least two, in order."""
        roots = self._roots(np.arange(len(self._parents)))
        order = np.argsort(roots, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(roots[order])) + 1)
        return [part.tolist() for part in parts if len(part) > 1]

    def _roots(self, rows: Array) -> Array:
        found = self._parents[rows]
        while ((above := self._parents[found]) != found).any():
            found = above
        self._parents[rows] = found
        return found

    def _root(self, row: int) -> int:
        return int(self._roots(np.array([row]))[0])
