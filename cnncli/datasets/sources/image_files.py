"""Opens image files safely and reads their size without decoding them."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from cnncli.datasets.sources.image_names import FORMATS, HEIC, READ
from cnncli.datasets.sources.tiff_header import TURNED, TiffHeader, tiff_header
from cnncli.system.files import open_regular

READERS = [name for name in FORMATS if name != "AVIF" or find_spec("PIL.AvifImagePlugin")]
"""Pillow's names of formats; those before 11.3 don't know AVIF, and others may be built without it."""
OLD_PILLOW = "this Pillow can't read AVIF: pip install --upgrade pillow, or convert the files to PNG"
BRANDS = {b"avif": OLD_PILLOW, b"avis": OLD_PILLOW, **dict.fromkeys((b"heic", b"heix", b"hevc", b"mif1"), HEIC)}
"""What to do with the formats of the family of HEIF, by what stands behind `ftyp` in a file."""
MOST_PIXELS = 89_478_485
"""Pillow's own limit, at which it only warns: a quarter of a GiB at three bytes a pixel."""
MOST_NUMBERS = 4 * MOST_PIXELS
"""Of all channels of a pixel."""

# Of palettes, of damaged EXIF data and of sizes: what matters of it is an error here.
warnings.filterwarnings("ignore", module=r"PIL\b")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class UnusableError(ValueError):
    """An unusable image; the text is the violated rule, shown after the file name."""


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image whose header is read and whose size is bearable; of several frames it is the first.

    Raises UnusableError where that fails, or what is done with it fails on damaged data.
    """
    with read_errors(path), open_regular(path) as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise UnusableError("an image must not be empty; the file has 0 bytes")
        image = Image.open(file, formats=READERS)
        check_pixels(image.width, image.height)
        yield image


@contextmanager
def read_errors(path: Path | None = None) -> Iterator[None]:
    """Turn whatever readers raise on a file into UnusableError."""
    try:
        yield
    except UnusableError:
        raise
    except UnidentifiedImageError:
        raise UnusableError(f"an image must be {READ}; its content is not a supported image{_way_out(path)}") from None
    except Image.DecompressionBombError:
        raise UnusableError(f"an image must have at most {MOST_PIXELS:,} pixels; it has over twice as many") from None
    except MemoryError:
        raise UnusableError("does not fit into memory") from None
    except Exception as error:  # Pillow's readers raise OSError, SyntaxError, ValueError, struct.error, … on damage
        said = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split()) or type(error).__name__
        raise UnusableError(f"can't be read: {said}") from None


def check_pixels(width: int, height: int, channels: int = 1) -> None:
    """Raise UnusableError for an image that is too large, or has no pixels."""
    pixels = width * height
    if pixels > MOST_PIXELS:
        raise UnusableError(f"an image must have at most {MOST_PIXELS:,} pixels; it has {pixels:,}")
    if pixels * channels > MOST_NUMBERS:
        raise UnusableError(
            f"an image must have at most {MOST_NUMBERS:,} values; it has {pixels:,} pixels with {channels:,} channels"
        )
    if pixels < 1:
        raise UnusableError("an image must have at least one pixel")


def is_deep_in_color(image: Image.Image) -> bool:
    """Whether a file has 16 bits for each of several samples; known until its pixels are read."""
    raw = str(tiles[0][3]) if (tiles := getattr(image, "tile", ())) else ""
    return ";16" in raw and not image.mode.startswith("I")


def _way_out(path: Path | None) -> str:
    """What to do with a file that Pillow does not know, as the end of a sentence."""
    if path is None:
        return ""
    header = _tiff_header(path)
    if header is not None and header.channels > 1:
        return f": it has {header.channels} channels, which `color_mode: all` under `data` reads"
    with open_regular(path) as file:
        start = file.read(12)
    return f": {BRANDS[start[8:]]}" if start[4:8] == b"ftyp" and start[8:] in BRANDS else ""


def _tiff_header(path: Path) -> TiffHeader | None:
    """What a TIFF file says; None for other files, and damaged ones."""
    with suppress(Exception), open_regular(path) as file:  # of damage Pillow raises many kinds
        return tiff_header(file)
    return None


def size_of(path: Path) -> tuple[int, int]:
    """(height, width) as it is seen, turned as EXIF says. Raises UnusableError."""
    try:
        with opened(path) as image:
            # A PNG without EXIF data in its header would be decoded to look behind the pixels.
            has_exif = image.format != "PNG" or "exif" in image.info
            turned = has_exif and image.getexif().get(ExifTags.Base.Orientation, 1) in TURNED
            width, height = stored_size(image)
            return (width, height) if turned else (height, width)
    except UnusableError:
        header = _tiff_header(path)
        if header is None or header.channels == 1:
            raise
        return header.size


def stored_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) before it is turned; some versions of Pillow give the turned one of a TIFF file."""
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    return tags.get(ExifTags.Base.ImageWidth, image.width), tags.get(ExifTags.Base.ImageLength, image.height)


def check_size(mask: Path, image: Path) -> None:
    """Raise UnusableError unless a mask is as large as its image, or where either can't be read."""
    (height, width), (high, wide) = size_of(image), size_of(mask)
    if (height, width) != (high, wide):
        raise UnusableError(
            f"a mask must be as large as its image, {height} × {width} (height × width); it is {high} × {wide}"
        )


def processors() -> int:
    """How many threads decode: one for each processor that this process may use. Pillow lets go of Python's lock."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
