"""The channels of image files: how many there are and of which type, by the header; and reading files of any number.

Pillow reads up to four channels of 8 bits and one of 16 or 32 bits; other TIFF files are read by tifffile, an optional
package.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import ExifTags, Image, ImageOps

from cnncli.datasets.sources.image_files import (
    UnusableError,
    check_pixels,
    is_deep_in_color,
    opened,
    read_errors,
    size_of,
)
from cnncli.datasets.sources.tiff_header import TURNED, tiff_header
from cnncli.errors import UsageError
from cnncli.extras import require
from cnncli.system.files import open_regular

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class Bands(NamedTuple):
    """What a file holds, as it is seen: (height, width), channels, and the dtype that they are read as, uint8 or
    float32. `by_tifffile`: Pillow does not read all of it.
    """

    size: tuple[int, int]
    channels: int
    dtype: str
    by_tifffile: bool = False


def bands_of(path: Path) -> Bands:
    """What an image file holds; its header is read. Raises UnusableError."""
    found = beyond_pillow(path)
    if found is not None:
        return found
    with opened(path) as image:
        if is_deep_in_color(image):
            raise UnusableError("16 bits per channel in colors are read from TIFF files only: save it as TIFF")
        mode = _faithful(image.mode)
        dtype = "float32" if mode[0] in "IF" else "uint8"
    return Bands(size_of(path), len(Image.getmodebandnames(mode)), dtype)


def beyond_pillow(path: Path) -> Bands | None:
    """What a TIFF file holds of which Pillow does not read all, as more than four channels, or several of 16 bits.

    Raises UnusableError.
    """
    with read_errors(), open_regular(path) as file:
        header = tiff_header(file)
    if header is None or header.channels == 1 or (header.bits <= 8 and _read_by_pillow(path) >= header.channels):
        return None
    check_pixels(*header.size, header.channels)
    return Bands(header.size, header.channels, "uint8" if header.bits <= 8 else "float32", by_tifffile=True)


def _read_by_pillow(path: Path) -> int:
    """The channels that Pillow reads of a file; 0 where it does not know it."""
    try:
        with opened(path) as image:
            return len(image.getbands())
    except UnusableError:
        return 0


@contextmanager
def opened_or_drawn(path: Path) -> Iterator[Image.Image]:
    """An image as `opened` has it; or a picture of the first channels of one of which Pillow does not read all. Their
    number is then `info["channels"]`. Raises UnusableError.
    """
    held = beyond_pillow(path)
    if held is None:
        with opened(path) as image:
            yield image
        return
    try:
        require_reader(held, path)
    except UsageError as error:
        raise UnusableError(str(error).removeprefix(f"{path}: ")) from None
    picture = Image.fromarray(_drawn(_by_tifffile(path, held)))
    picture.info["channels"] = held.channels
    yield picture


def _drawn(pixels: "Array") -> "Array":
    """The channels that are drawn, from black to white: uint8 (H, W, 3) or (H, W)."""
    import numpy as np

    from cnncli.datasets.channels import drawn

    shown = drawn(pixels)
    shown = shown if shown.shape[-1] == 3 else shown[..., 0]
    if shown.dtype == np.uint8:
        return np.ascontiguousarray(shown)
    low, high = float(shown.min()), float(shown.max())
    return np.rint((shown - low) * (255 / (high - low or 1.0))).astype(np.uint8)


def read(path: Path, bands: Bands) -> "Array":
    """All channels of a file as they are: uint8 or float32 (H, W, C). Raises UnusableError."""
    import numpy as np

    if bands.by_tifffile:
        return _by_tifffile(path, bands)
    with opened(path) as image:
        upright = ImageOps.exif_transpose(image)
        made = np.asarray(upright.convert(_faithful(upright.mode)))
    return _finite(made.reshape(*made.shape[:2], -1).astype(bands.dtype))


def require_reader(bands: Bands, path: Path) -> None:
    """Raise UsageError if the package that reads such a file is missing."""
    if bands.by_tifffile:
        require(f"{path}: an image of {bands.channels} channels", "tifffile", ("tifffile",), "tiff")


def _faithful(mode: str) -> str:
    """The mode in which Pillow has an image's channels as they are in the file; of a palette, the colors."""
    if mode.startswith("I"):
        return "I"
    return {"1": "L", "P": "RGB", "PA": "RGBA", "RGBa": "RGBA", "La": "LA"}.get(mode, mode)


def _by_tifffile(path: Path, bands: Bands) -> "Array":
    import logging

    import numpy as np
    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it finds odd is an error here, or harmless
    with read_errors(), open_regular(path) as file, tifffile.TiffFile(file) as tiff:
        page = tiff.pages[0]
        made = np.asarray(page.asarray())
        if page.axes == "SYX":
            made = np.moveaxis(made, 0, -1)
        orientation = int(page.tags.valueof(ExifTags.Base.Orientation, 1))
    if made.ndim != 3 or made.shape[-1] != bands.channels or made.dtype.kind not in "uif":
        raise UnusableError(f"can't be read: its channels are {made.dtype} of shape {made.shape}")
    return _finite(_upright(made, orientation).astype(bands.dtype))


def _upright(pixels: "Array", orientation: int) -> "Array":
    """Pixels as they are seen, by the number that TIFF has for it."""
    turned = pixels.swapaxes(0, 1) if orientation in TURNED else pixels
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return turned[rows, columns]


def _finite(pixels: "Array") -> "Array":
    import numpy as np

    if pixels.dtype != np.uint8 and not np.isfinite(pixels).all():
        raise UnusableError("an image must hold finite numbers; it has nan or inf")
    return pixels
