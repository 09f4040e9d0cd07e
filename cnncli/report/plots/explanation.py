"""The sheet of explanations: the original, what the network saw, and by method what explains the prediction."""

from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnncli.datasets.channels import drawn, drawn_note
from cnncli.escaping import one_line
from cnncli.report.pictures.colormap import BLUE_RED, INFERNO, VIRIDIS, colored, over
from cnncli.report.pictures.figures import Sheet, Tile
from cnncli.report.plots.filters import filter_images
from cnncli.training.explanation import Explanation

Array = np.ndarray[Any, Any]
Size = tuple[int, int]
"""Width and height."""
SIDE = 384
"""Pixels of the longer side of a tile, whose shape is that of the network's input."""
SHOWN = 190.0
"""Size of a tile in a drawing."""
COLUMNS = 4
"""At most, of the sheet of one image."""
MOST_MAPS = 64
"""Channels or filters that a tile shows: the first ones."""
GAP, FRAME = 8, 2
"""Pixels between the maps of a tile, transparent but for a frame around each."""
PAPER = (255, 255, 255, 0)
"""Transparent; white where nothing shows through."""
LINE = (150, 150, 150, 255)
"""Of frames: gray on light and on dark."""
GREAT = 0.995
"""The share of numbers below the one shown brightest."""
LEAST_DROP = 0.05
"""The probability's change in the strongest color, if none is greater: little changes should not look important."""
OPACITY = 0.85
"""Of the greatest heat over an image."""


def explanation_sheet(explanations: Sequence[Explanation]) -> Sheet:
    """The picture of explanations by one model and the same methods: several rows for one image, a row each for more.

    The filters, which are the same for all images, come last.
    """
    first, filters = explanations[0], list(_filters(explanations[0]))
    if len(explanations) == 1:
        tiles = [*_tiles(first), *filters]
        columns = len(tiles) if len(tiles) <= COLUMNS else min(COLUMNS, ceil(len(tiles) / 2))
        return Sheet(headline(first), tiles, columns, SHOWN, note=_note(first))
    rows = [list(_tiles(each)) for each in explanations]
    tiles = [tile for each, row in zip(explanations, rows, strict=True) for tile in _beheaded(each, row)]
    heads = [tile.captions[0] for tile in rows[0]]
    return Sheet("", [*tiles, *filters], len(heads), SHOWN, heads, note=_note(first))


def _beheaded(each: Explanation, row: Sequence[Tile]) -> Iterator[Tile]:
    """Tiles whose first captions are the heads of the columns; the first has the image's name and the prediction."""
    yield Tile(row[0].image, [_name(each), *_predicted(each)])
    for tile in row[1:]:
        yield Tile(tile.image, tile.captions[1:])


def headline(each: Explanation) -> str:
    """The image's name and the prediction, in a line."""
    return ": ".join(filter(None, (_name(each), "; ".join(_predicted(each)))))


def _name(each: Explanation) -> str:
    """The file's name without its folders; where it is in quotes, escaped (see `inputs.shown`), all of it."""
    quoted = each.name[:1] in ("'", '"') and each.name[-1:] == each.name[:1]
    return one_line(each.name if quoted else Path(each.name).name)


def _predicted(each: Explanation) -> list[str]:
    """What the model predicts, and which class is explained if that is another; nothing without classes."""
    if each.predicted is None or each.cls is None:
        return []
    explained = [] if each.cls == each.predicted else [f"explained {_class(each, each.cls)}"]
    return [f"predicted {_class(each, each.predicted)}", *explained]


def _class(each: Explanation, number: int) -> str:
    return f"{one_line(each.classes[number])} ({100 * each.probabilities[number]:.1f} %)"


def _tiles(each: Explanation) -> Iterator[Tile]:
    """The tiles of one image, without the filters."""
    seen, box = input_pixels(each), _box(each)
    height, width = each.original.shape[:2]
    yield _tile(_fitted(_rgb(each.original), box), "Original", f"{width} × {height} pixels")
    height, width, channels = each.input.shape
    size = f"{width} × {height}, {channels} channel{'s' * (channels > 1)}"
    note = drawn_note(channels)
    yield _tile(_fitted(seen, box), "What the network saw", size, *([note] if note else []))
    gray = grayed(seen)
    for layer, cam in each.gradcam.items():
        none = [] if cam.any() else ["nothing raises the score"]
        yield _tile(_fitted(heat(gray, cam), box), "Grad-CAM", layer, *none)
    if each.saliency is not None:
        none = [] if each.saliency.any() else ["no pixel changes the score"]
        yield _tile(_fitted(colored(_positive(each.saliency), INFERNO), box), "Saliency", *none)
    if each.occlusion is not None:
        signed = _signed(each.occlusion, LEAST_DROP)
        change_at = over(gray, colored(signed, BLUE_RED), OPACITY * np.sqrt(np.abs(2 * signed - 1)))
        most, least = 100 * each.occlusion.max(), 100 * each.occlusion.min()
        change = f"probability {_points(-most)} … {_points(-least)} points" if most or least else "changes nothing"
        yield _tile(_fitted(change_at, box), "Occlusion", change)
    for layer, maps in each.feature_maps.items():
        shown = maps[..., :MOST_MAPS]
        counted = _count(shown.shape[-1], maps.shape[-1], "channel")
        yield _tile(_grid(_shaded(shown), box), "Feature maps", layer, counted)


def _filters(each: Explanation) -> Iterator[Tile]:
    if each.filters is None:
        return
    high, wide, channels, count = each.filters.shape
    images = filter_images(each.filters[..., :MOST_MAPS])
    shown = np.stack([_rgb(np.asarray(image)) for image in images])
    counted = f"{_count(len(images), count, 'filter')}, {wide} × {high} × {channels}"
    yield _tile(_grid(shown, _box(each)), "Filters", each.filtered, counted)


def input_pixels(each: Explanation) -> Array:
    """What the network saw, as uint8 (H, W, 3): the first channels (see `drawn`).

    From black to white; where values lie outside, from the least to the greatest.
    """
    values = drawn(each.input).astype(np.float64) / each.white
    low, high = min(0.0, float(values.min())), max(1.0, float(values.max()))
    values = (values - low) / (high - low)
    return _rgb(np.rint(255 * values).astype(np.uint8))


def grayed(pixels: Array) -> Array:
    """Uint8 (H, W, 3) without its colors, for something to be drawn over."""
    return _rgb(np.rint(pixels.mean(axis=-1)).astype(np.uint8))


def heat(gray: Array, cam: Array) -> Array:
    """Grad-CAM, from 0 to 1 (H, W), over a gray image, uint8 (H, W, 3)."""
    return over(gray, colored(cam, INFERNO), OPACITY * np.sqrt(cam))


def _rgb(picture: Array) -> Array:
    """Uint8 (H, W) or (H, W, C) → (H, W, 3), of the channels that are drawn."""
    flat = drawn(picture[..., np.newaxis] if picture.ndim == 2 else picture)
    return np.broadcast_to(flat, (*flat.shape[:2], 3))


def _positive(values: Array) -> Array:
    """Numbers ≥ 0 divided by a great one of them, so that a single outlier does not darken the rest."""
    return values / (float(np.quantile(values, GREAT)) or float(values.max()) or 1.0)


def _signed(values: Array, least: float = 0.0) -> Array:
    """Numbers with the greatest absolute one, or `least` if that is greater, at 0 or 1, and 0 at ½."""
    return 0.5 + values / (2 * (max(float(np.abs(values).max()), least) or 1.0))


def _shaded(maps: Array) -> Array:
    """Feature maps (h, w, c) as colors, uint8 (c, h, w, 3): of all channels together, from 0 to the greatest."""
    channels = maps.transpose(2, 0, 1)
    if channels.min() < 0:
        return colored(_signed(channels), BLUE_RED)
    return colored(_positive(channels), VIRIDIS)


def _box(each: Explanation) -> Size:
    """Width and height of the tiles."""
    height, width, _ = each.input.shape
    return max(1, round(SIDE * width / max(height, width))), max(1, round(SIDE * height / max(height, width)))


def _tile(picture: Array, *captions: str) -> Tile:
    return Tile(Image.fromarray(picture), captions)


def _grid(pictures: Array, box: Size) -> Array:
    """Pictures (n, h, w, 3) side by side in a box, as large as all of them may be: uint8 RGBA."""
    count, height, width, _ = pictures.shape
    scale, columns = max(_scales(count, (width, height), box))
    wide, high = max(1, int(width * scale)), max(1, int(height * scale))
    grid = Image.new("RGBA", box, PAPER)
    left = (box[0] + GAP - columns * (wide + GAP)) // 2
    top = (box[1] + GAP - ceil(count / columns) * (high + GAP)) // 2
    for number, picture in enumerate(pictures):
        x, y = left + number % columns * (wide + GAP), top + number // columns * (high + GAP)
        grid.paste(LINE, (x - FRAME, y - FRAME, x + wide + FRAME, y + high + FRAME))
        grid.paste(_resized(picture, (wide, high)), (x, y))
    return np.asarray(grid)


def _scales(count: int, size: Size, box: Size) -> Iterator[tuple[float, int]]:
    """By number of columns: by how much `count` pictures of a size are scaled to fit into a box."""
    for columns in range(1, count + 1):
        rows = ceil(count / columns)
        yield min(((box[0] + GAP) / columns - GAP) / size[0], ((box[1] + GAP) / rows - GAP) / size[1]), columns


def _fitted(picture: Array, box: Size) -> Array:
    """A picture in the middle of a box, as large as possible: uint8 RGBA."""
    height, width = picture.shape[:2]
    scale = min(box[0] / width, box[1] / height)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    fitted = Image.new("RGBA", box, PAPER)
    fitted.paste(_resized(picture, (wide, high)), ((box[0] - wide) // 2, (box[1] - high) // 2))
    return np.asarray(fitted)


def _resized(picture: Array, size: Size) -> Image.Image:
    """Pixel by pixel where it is enlarged, else means of pixels."""
    how = Image.Resampling.NEAREST if size[0] >= picture.shape[1] else Image.Resampling.BOX
    return Image.fromarray(np.ascontiguousarray(picture)).resize(size, how)


def _points(share: float) -> str:
    """Signed, with as many decimals as tell something; 0 without a sign."""
    digits = 0 if abs(share) >= 9.95 else 1 if abs(share) >= 0.095 else 2
    text = f"{share:+.{digits}f}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def _count(shown: int, all_of_them: int, what: str) -> str:
    return f"{shown} of {all_of_them} {what}s" if shown < all_of_them else f"{shown} {what}{'s' * (shown > 1)}"


def _note(each: Explanation) -> str:
    """What the methods show, in a line each."""
    shown = {
        "Grad-CAM: the brighter a place, the more its features in the layer raise the class's score.": each.gradcam,
        "Saliency: the brighter a pixel, the more a small change of it changes the score.": each.saliency is not None,
        "Occlusion: a gray patch over a red place lowers the class's probability, over a blue one raises it.": (
            each.occlusion is not None
        ),
        "Feature maps: the brighter, the stronger; where values are negative, red is positive, blue negative.": (
            each.feature_maps
        ),
    }
    return "\n".join(text for text, said in shown.items() if said)
