"""Decodes an image file to pixels of the size and color mode of a spec."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from cnncli.datasets.section import MOST_MASKED, DataSection
from cnncli.datasets.sources import bands, tf_resize
from cnncli.datasets.sources.image_files import UnusableError, is_deep_in_color, opened

Array = np.ndarray[Any, Any]
MASK, ALL = "mask", "all"
MODES = {"rgb": "RGB", "grayscale": "L", MASK: "P"}
SPREAD = {"1": 255, "L;1": 255, "L;2": 85, "L;4": 17}
"""What Pillow multiplies grey samples of few bits by, so that the greatest is white."""
WHITE = {"L": 255, "I": 65535}
"""What Pillow makes of the greatest sample of a PNM file of this mode."""
DEEPEST = 16
"""Bits of a sample in the deepest files."""
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "lanczos3": Image.Resampling.LANCZOS,
}
"""Keras' names, and what Pillow calls them. What is made smaller is smoothed, as in Keras' load_img."""


Palette = Sequence[tuple[int, int, int]]
COLORED = ("RGB", "RGBA", "LA")
"""Modes of images in colors, or with transparency."""
MOST_COLORS = 32
"""Colors that may be classes."""


@dataclass(frozen=True)
class Form:
    """The target format of images. The `color_mode` MASK keeps pixel values unchanged.

    `antialias`: what is made smaller is smoothed. `resized`: images of other sizes are, and not refused. `alpha` and
    `bit_depth`: as in a spec. `palette`: the colors of a mask's classes, if it is in colors. `fill`: what a padded mask
    has around it.
    """

    height: int
    width: int
    color_mode: str = "rgb"
    crop: bool = False
    pad: bool = False
    interpolation: str = "bilinear"
    antialias: bool = True
    resized: bool = True
    alpha: str = "drop"
    bit_depth: int = 16
    palette: Palette = ()
    fill: int = 0

    @staticmethod
    def of(data: DataSection, height: int, width: int, color_mode: str, *, resized: bool = True) -> "Form":
        """What a spec's `data` make of images."""
        return Form(
            *(height, width, color_mode, data.crop_to_aspect_ratio, data.pad_to_aspect_ratio, data.interpolation),
            *(data.antialias, resized, data.alpha, data.bit_depth),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.height, self.width, len(MODES[self.color_mode]) + (self.alpha == "channel")

    @property
    def dtype(self) -> str:
        """That of the pixels."""
        return "uint8"


@dataclass(frozen=True)
class AllChannels(Form):
    """Images with all of their `channels` as they are; as `kind`, uint8 or float32, or where that is "" as the file has
    them.
    """

    channels: int = 0
    kind: str = ""

    @staticmethod
    def like(data: DataSection, shape: tuple[int, ...], kind: str = "", *, resized: bool = True) -> "AllChannels":
        """What a spec's `data` with `color_mode: all` make of images, (H, W, C)."""
        height, width, channels = shape
        of_data = vars(Form.of(data, height, width, ALL, resized=resized))
        return AllChannels(**of_data, channels=channels, kind=kind)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    @property
    def dtype(self) -> str:
        return self.kind or "float32"


def decode(path: Path, form: Form) -> Array:
    """An image as uint8 (H, W, C): turned as EXIF says, converted, then resized. By default alpha is dropped, as
    Keras does.

    A mask's pixels are its grey levels or places in its palette, as they stand in the file.

    Raises UnusableError.
    """
    if isinstance(form, AllChannels):
        return _all_channels(path, form)
    with opened(path) as image:
        return pixels(image, form)


def _all_channels(path: Path, form: AllChannels) -> Array:
    found = bands.bands_of(path)
    if (found.channels, found.dtype) != (form.channels, form.kind or found.dtype):
        raise UnusableError(
            "with `color_mode: all` images must have the channels of the first, "
            f"{_channels(form.channels, form.kind)}; received {_channels(found.channels, found.dtype)}"
        )
    made = bands.read(path, found)
    resized = [_resized(Image.fromarray(made[..., channel]), form) for channel in range(found.channels)]
    return np.stack(resized, axis=-1)


def _channels(count: int, kind: str) -> str:
    return f"{count} {f'of {kind}' if kind else ''}".strip()


def pixels(image: Image.Image, form: Form) -> Array:
    """The same of an image that Pillow has opened. Raises UnusableError, and whatever Pillow raises on damaged data."""
    if form.color_mode == MASK:
        if image.info.get("compression") == "jpeg":
            raise UnusableError("a mask must not be compressed as JPEG, which changes class numbers")
        spread = _spread(image)  # is forgotten when pixels are read
        mask = ImageOps.exif_transpose(image)
        upright = _classes_of(mask, form.palette) if form.palette else _numbers(mask, spread)
    else:
        if form.bit_depth != DEEPEST and is_deep_in_color(image):
            raise UnusableError(f"with bit_depth {form.bit_depth} a 16-bit image must be grayscale; it has colours")
        upright = _coloured(_bytes(ImageOps.exif_transpose(image), form.bit_depth), form)
    return _resized(upright, form).reshape(form.shape)


def palette_of(paths: Iterable[Path]) -> list[list[int]]:
    """The colors of masks, in order, if there are several and not too many; of those that are in colors."""
    found: set[int] = set()
    for path in paths:
        with suppress(UnusableError, OSError), opened(path) as image:
            if _grey(image).mode in COLORED:
                found.update(np.unique(_codes(image)).tolist())
    return _listed(np.array(sorted(found)))


def has_colors(path: Path) -> bool | None:
    """Whether a mask is in colors; None where it can't be read."""
    try:
        with opened(path) as image:
            return _grey(image).mode in COLORED
    except UnusableError:
        return None


def whole(image: Image.Image) -> Array:
    """The whole image, turned as EXIF says: uint8 (H, W), or (H, W, 3) if it may have colors. Raises as `pixels`."""
    upright = _bytes(ImageOps.exif_transpose(image), DEEPEST)
    return np.asarray(upright.convert("L" if upright.mode in ("1", "L", "LA") else "RGB"), np.uint8)


def _coloured(image: Image.Image, form: Form) -> Image.Image:
    """The image in the colours of a form, with transparency as it says."""
    mode = MODES[form.color_mode]
    if form.alpha == "drop":
        return image.convert(mode)
    whole = image.convert("RGBA")
    if form.alpha == "channel":
        return whole if mode == "RGB" else whole.convert("LA")
    return Image.alpha_composite(Image.new("RGBA", whole.size, form.alpha), whole).convert(mode)


def _bytes(image: Image.Image, depth: int) -> Image.Image:
    """The image with 8 bits a sample: v of 16 bits, of which `depth` are used, becomes v · 255 / (2 ** depth - 1),
    rounded. Raises UnusableError for a greater v.

    Of floats, 0 becomes 0 and 1 becomes 255. Pillow reads 16-bit samples of grey images as they are, and the high byte
    of those of colours.
    """
    if image.mode == "F":
        return Image.fromarray(np.rint(unit_floats(image) * 255).astype(np.uint8))
    if not image.mode.startswith("I"):
        return image
    levels, most = np.asarray(image).astype(np.int64), 2**depth - 1
    if levels.min() < 0 or levels.max() > 65535:
        raise UnusableError(f"integers must be from 0 to 65,535; it has {levels.min():,} to {levels.max():,}")
    if levels.max() > most:
        raise UnusableError(f"with bit_depth {depth} values must be at most {most:,}; it has {levels.max():,}")
    return Image.fromarray(((levels * 255 + most // 2) // most).astype(np.uint8))


def unit_floats(image: Image.Image) -> Array:
    """The floats of an image, float32 (H, W). Raises UnusableError for one that is not from 0 (black) to 1 (white)."""
    levels = np.asarray(image)
    low, high = levels.min(), levels.max()
    if not (low >= 0 and high <= 1):  # not a number is neither
        raise UnusableError(
            f"floating-point values must be from 0 (black) to 1 (white); it has {low:.6g} to {high:.6g}"
        )
    return levels


def _spread(image: Image.Image) -> Fraction:
    """What Pillow multiplies the samples of a file by, before its pixels are read."""
    tiles = getattr(image, "tile", ())
    raw = tiles[0][3] if tiles else ""
    if image.format == "PPM" and isinstance(raw, tuple) and isinstance(raw[-1], int) and image.mode in WHITE:
        return Fraction(WHITE[image.mode], raw[-1])
    name = str(raw[0] if isinstance(raw, tuple) else raw).rstrip("IR")  # inverted or reversed, in TIFF
    return Fraction(SPREAD.get(name, SPREAD.get(image.mode, 1)))


def _numbers(image: Image.Image, spread: Fraction) -> Image.Image:
    """A mask with its class numbers, of 8 bits. Raises UnusableError for one of colours, or of greater numbers."""
    image = _grey(image)
    if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
        raise UnusableError(
            f"a mask must have one class number per pixel, as in grayscale and palette images; received {image.mode}"
            f"{_suggested(image)}"
        )
    levels = np.asarray(image.convert("L") if image.mode == "1" else image).astype(np.int64)
    numbers = (levels * spread.denominator + spread.numerator // 2) // spread.numerator
    if numbers.max() > 255:
        raise UnusableError(f"a mask must have class numbers ≤ 255; it has {numbers.max()}")
    return Image.fromarray(numbers.astype(np.uint8))


def _classes_of(image: Image.Image, palette: Palette) -> Image.Image:
    """A mask whose colors are those of classes. Raises UnusableError for one with another color."""
    codes = _codes(image)
    known = np.array([_code(color) for color in palette])
    order = known.argsort()
    places = order[known.searchsorted(codes, sorter=order).clip(0, len(known) - 1)]
    wrong = known[places] != codes
    if wrong.any():
        y, x = np.argwhere(wrong)[0].tolist()
        raise UnusableError(
            f"a mask must have the colors of `palette`; the pixel in row {y}, column {x} has {_color(codes[y, x])}"
        )
    return Image.fromarray(places.astype(np.uint8))


def _suggested(image: Image.Image) -> str:
    """The palette of a mask in few colors, as part of an error."""
    found = _listed(np.unique(_codes(image)))
    return f": if colors are classes, list them under `data`, as `palette: {found}`" if found else ""


def _listed(codes: Array) -> list[list[int]]:
    """The colors with these codes; none where there is one, or too many for classes."""
    return [_color(code) for code in codes] if 1 < len(codes) <= MOST_COLORS else []


def _codes(image: Image.Image) -> Array:
    """The color of each pixel as one number, int64 (H, W): see `_code`."""
    codes: Array = np.asarray(image.convert("RGB")).astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    return codes


def _code(color: Sequence[int]) -> int:
    return int.from_bytes(color, "big")


def _color(code: int) -> list[int]:
    return list(int(code).to_bytes(3, "big"))


def _grey(image: Image.Image) -> Image.Image:
    """An opaque image that is stored in colours but has none, as grey levels; others as they are."""
    if image.mode not in COLORED:
        return image
    bands = np.asarray(image)
    shades = bands[..., : len(image.mode.removesuffix("A"))]
    opaque = shades.shape == bands.shape or bands[..., -1].min() == MOST_MASKED
    return Image.fromarray(shades[..., 0]) if opaque and (shades == shades[..., :1]).all() else image


def _resized(image: Image.Image, form: Form) -> Array:
    width, height = image.size
    dtype = np.float32 if image.mode == "F" else np.uint8
    if (height, width) == (form.height, form.width):
        return np.asarray(image, dtype)
    if not form.resized:
        raise UnusableError(
            f"without image_size all images must have the size of the first, {form.height} × {form.width} "
            f"(height × width); received {height} × {width}"
        )
    # Keras' whole numbers: the side that the other one asks for at the wanted ratio.
    wide, high = height * form.width // form.height, width * form.height // form.width
    box = (0, 0, width, height)
    if form.crop:
        wide, high = max(1, min(width, wide)), max(1, min(height, high))
        left, top = (width - wide) // 2, (height - high) // 2
        box = (left, top, left + wide, top + high)
    if not form.antialias:
        pixels = np.asarray(image, dtype)[box[1] : box[3], box[0] : box[2]]
        size = form.height, form.width, form.interpolation
        return tf_resize.padded(pixels, *size, form.fill) if form.pad else tf_resize.resize(pixels, *size)
    if form.pad:
        wide, high = max(width, wide), max(height, high)
        padded = Image.new(image.mode, (wide, high), form.fill)
        padded.paste(image, ((wide - width) // 2, (high - height) // 2))
        image, box = padded, (0, 0, wide, high)
    return np.asarray(image.resize((form.width, form.height), FILTERS[form.interpolation], box=box), dtype)
