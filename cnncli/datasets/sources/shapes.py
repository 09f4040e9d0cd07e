"""Draws the images of `synthetic`: shapes on noise, the same bits on every machine.

All arithmetic is on integers. The random bits are the raw output of NumPy's Philox4x64-10, which is documented never to
change for a key; the key is (seed, stream), the streams being a split's layout and its noise. An image owns its words,
so it depends neither on how many are drawn nor on which others are. Lengths are in half pixels: a pixel's centre is at
an odd number, and a shape of `reach` r lies within r of its centre.
"""

from collections.abc import Callable
from itertools import islice, product
from typing import Any, NamedTuple

import numpy as np

from cnncli.datasets.sources.synthetic import EDGES, FORMS, GROUNDS, Synthetic

Array = np.ndarray[Any, Any]
STREAMS = {"train": 0, "test": 2}
"""Of a split's layout; its noise has the next one."""
PORTION = 1 << 18
"""Pixels that are drawn together: so few that they stay in cache."""
STRIPE = 40
"""Levels between a background's stripes; a shape differs from its background by at least 96 in every channel."""


class Offsets(NamedTuple):
    """Pixels seen from the centre of an image's shape, in half pixels.

    `across` and `down`: int32 (n, 1, W) and (n, H, 1), the distances without their sign; `below`: as `down`, signed.
    `reach`: int32 (n, 1, 1).
    """

    across: Array
    down: Array
    below: Array
    reach: Array

    @property
    def square(self) -> Array:
        """The squared distance, int32 (n, H, W)."""
        squared: Array = self.across**2 + self.down**2
        return squared

    @property
    def farther(self) -> Array:
        """The greater of the two distances, int32 (n, H, W)."""
        return np.maximum(self.across, self.down)

    @property
    def nearer(self) -> Array:
        """The smaller of the two distances, int32 (n, H, W)."""
        return np.minimum(self.across, self.down)


SHAPES: dict[str, Callable[[Offsets], Array]] = {
    "disc": lambda p: p.square <= p.reach**2,
    "square": lambda p: 8 * p.farther <= 7 * p.reach,
    "triangle": lambda p: (2 * p.across <= p.below + p.reach) & (p.below <= p.reach),
    "plus": lambda p: (p.farther <= p.reach) & (3 * p.nearer <= p.reach),
    "ring": lambda p: (p.square <= p.reach**2) & (64 * p.square >= 25 * p.reach**2),
    "lying bar": lambda p: (p.across <= p.reach) & (3 * p.down <= p.reach),
    "standing bar": lambda p: (p.down <= p.reach) & (3 * p.across <= p.reach),
    "diamond": lambda p: p.across + p.down <= p.reach,
    "frame": lambda p: (8 * p.farther <= 7 * p.reach) & (2 * p.farther > p.reach),
    "saltire": lambda p: (8 * p.farther <= 7 * p.reach) & (2 * (p.farther - p.nearer) <= p.reach),
}
"""By name: which pixels belong to the shape, bool (n, H, W)."""


def _stripes(down: int, across: int, width: int) -> Callable[[Array, Array], Array]:
    return lambda row, column: (down * row + across * column) // width % 2


BACKGROUNDS: dict[str, Callable[[Array, Array], Array]] = {
    "plain": lambda row, column: 0 * (row + column),
    "rows": _stripes(1, 0, 2),
    "columns": _stripes(0, 1, 2),
    "checks": lambda row, column: (row // 4 + column // 4) % 2,
    "falling stripes": _stripes(1, -1, 3),
    "rising stripes": _stripes(1, 1, 3),
    "wide rows": _stripes(1, 0, 4),
    "wide columns": _stripes(0, 1, 4),
    "wide falling stripes": _stripes(1, -1, 6),
    "wide rising stripes": _stripes(1, 1, 6),
}
"""By name: 1 where the second of two levels is, else 0: integers (H, W), from row (H, 1) and column (1, W)."""

SIDES = ("top", "right", "bottom", "left")
assert (len(SHAPES), len(BACKGROUNDS), 2 ** len(SIDES)) == (FORMS, GROUNDS, EDGES)


def class_names(count: int) -> tuple[str, ...]:
    """What the first `count` classes show: "ring", "ring on rows", "ring on rows, top and left edge"."""
    names = (
        f"{form}{'' if ground == 'plain' else f' on {ground}'}{_edges(edges)}"
        for edges, ground, form in product(range(EDGES), BACKGROUNDS, SHAPES)
    )
    return tuple(islice(names, count))


def draw(dataset: Synthetic, split: str) -> tuple[Array, Array]:
    """The images and class numbers of "train" or "test": uint8 (N, H, W, C), int64 (N,)."""
    assert dataset.image_shape is not None
    height, width, channels = dataset.image_shape
    count, stream = dataset.samples[split], STREAMS[split]
    layouts, noise = (np.random.Philox(key=[dataset.seed, number]) for number in (stream, stream + 1))
    images = np.empty((count, height, width, channels), np.uint8)
    labels = np.arange(count) % dataset.classes
    step = max(1, PORTION // (height * width))
    for start in range(0, count, step):
        part = slice(start, start + step)
        _fill(images[part], labels[part], layouts, noise)
    return images, labels


def masks(dataset: Synthetic, split: str) -> Array:
    """What each pixel of the images that `draw` draws belongs to: uint8 or more (N, H, W).

    0 is what is around the shape, 1 and on are the classes.
    """
    assert dataset.image_shape is not None
    height, width, channels = dataset.image_shape
    labels = np.arange(dataset.samples[split]) % dataset.classes
    made = np.empty((len(labels), height, width), np.min_scalar_type(dataset.classes))
    layouts, step = np.random.Philox(key=[dataset.seed, STREAMS[split]]), max(1, PORTION // (height * width))
    for start in range(0, len(labels), step):
        part = labels[start : start + step]
        shown = _shapes(part % FORMS, _words(layouts, len(part), channels), (height, width))
        made[start : start + step] = np.where(shown, part[:, None, None] + 1, 0)
    return made


def _fill(images: Array, labels: Array, layouts: np.random.Philox, noise: np.random.Philox) -> None:
    """Draw one image a label."""
    n, height, width, channels = images.shape
    words = _words(layouts, n, channels)
    loudness = _between(words[:, 3], 16, 56).astype(np.int16)
    ground = _between(words[:, 4 : 4 + channels], 0, 255)
    colour = (ground + _between(words[:, 4 + channels :], 96, 160)) % 256  # modulo 256: lighter or darker alike
    shown = _shapes(labels % FORMS, words, (height, width))
    striped = _grounds(labels // FORMS % GROUNDS, (height, width))
    shown |= _marks(labels // (FORMS * GROUNDS), (height, width))
    second = np.where(ground < 128, STRIPE, -STRIPE)
    levels = np.where(
        shown[..., None],
        _of_images(colour),
        _of_images(ground) + striped[..., None] * _of_images(second),
    )
    pixels = height * width * channels
    raw = noise.random_raw(n * -(-pixels // 8)).astype("<u8", copy=False).view(np.uint8)
    grain = raw.reshape(n, -1)[:, :pixels].reshape(images.shape).astype(np.int16) - 128
    grain *= loudness[:, None, None, None]
    grain >>= 7
    grain += levels
    np.clip(grain, 0, 255, out=images, casting="unsafe")


def _between(words: Array, least: Array | int, most: Array | int) -> Array:
    """Whole numbers from least to most, both included, from 64-bit words: int32 of the words' shape."""
    spread = np.asarray(most - least + 1, np.uint64)
    drawn: Array = least + ((words >> np.uint64(32)) * spread >> np.uint64(32)).astype(np.int32)
    return drawn


def _of_images(levels: Array) -> Array:
    """(n, C) as int16 (n, 1, 1, C)."""
    return levels.astype(np.int16)[:, None, None, :]


def _words(layouts: np.random.Philox, n: int, channels: int) -> Array:
    """The words of the next n images' layouts: uint64 (n, 4 + 2 · channels)."""
    words: Array = layouts.random_raw(n * (4 + 2 * channels)).reshape(n, -1)
    return words


def _shapes(forms: Array, words: Array, size: tuple[int, int]) -> Array:
    """Which pixels belong to each image's shape: bool (n, H, W)."""
    side = min(size)
    reach = _between(words[:, 0], side * 8 // 16, side * 14 // 16)
    down, across = (_between(words[:, 1 + axis], reach, 2 * size[axis] - reach) for axis in (0, 1))
    rows, columns = (np.arange(1, 2 * length, 2, dtype=np.int32) for length in size)
    shown = np.empty((len(forms), *size), bool)
    for number, form in enumerate(SHAPES.values()):
        of_form = np.flatnonzero(forms == number)
        below = rows[None, :, None] - down[of_form, None, None]
        beside = columns[None, None, :] - across[of_form, None, None]
        shown[of_form] = form(Offsets(np.abs(beside), np.abs(below), below, reach[of_form, None, None]))
    return shown


def _grounds(grounds: Array, size: tuple[int, int]) -> Array:
    """Where each image's background has its second level: int16 (n, H, W) of 0 and 1."""
    row, column = np.ogrid[: size[0], : size[1]]
    patterns = np.stack([background(row, column) for background in BACKGROUNDS.values()])
    return patterns.astype(np.int16)[grounds]


def _marks(edges: Array, size: tuple[int, int]) -> Array:
    """The marked edges of each image, a sixteenth of it thick: bool (n, H, W). Bit i of `edges`: SIDES[i]."""
    row, column = np.ogrid[: size[0], : size[1]]
    thick = max(1, min(size) // 16)
    distances = (row, size[1] - 1 - column, size[0] - 1 - row, column)
    near = np.stack([np.broadcast_to(distance < thick, size) for distance in distances])
    chosen = np.arange(EDGES)[:, None] >> np.arange(len(SIDES)) & 1 == 1
    marks: Array = (chosen[:, :, None, None] & near).any(axis=1)
    return marks[edges]


def _edges(edges: int) -> str:
    marked = [side for i, side in enumerate(SIDES) if edges >> i & 1]
    return f", {' and '.join(marked)} edge{'s' * (len(marked) > 1)}" if marked else ""
