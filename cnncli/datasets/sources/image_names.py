"""Names of image files, and what lies in a folder."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cnncli.errors import CnncliError


class Format(NamedTuple):
    """A format that is read: what people call it, the endings of its files, and whether it is fit for masks."""

    name: str
    endings: tuple[str, ...]
    lossless: bool = False


FORMATS = {
    "PNG": Format("PNG", (".png",), lossless=True),
    "JPEG": Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif")),
    "BMP": Format("BMP", (".bmp",), lossless=True),
    "DIB": Format("BMP", (".dib",), lossless=True),
    "GIF": Format("GIF", (".gif",), lossless=True),
    "PPM": Format("PNM", (".ppm", ".pgm", ".pbm", ".pnm"), lossless=True),
    "WEBP": Format("WebP", (".webp",)),
    "TIFF": Format("TIFF", (".tif", ".tiff"), lossless=True),
    "AVIF": Format("AVIF", (".avif",)),
    "JPEG2000": Format("JPEG 2000", (".jp2", ".j2k")),
}
"""By Pillow's names. Those that it knows without loading all of its readers come first."""


def _either(names: Iterable[str]) -> str:
    *others, last = dict.fromkeys(names)
    return f"{', '.join(others)} or {last}"


ENDINGS = tuple(ending for each in FORMATS.values() for ending in each.endings)
LOSSLESS = tuple(ending for each in FORMATS.values() if each.lossless for ending in each.endings)
"""Endings of masks: lossy formats change class numbers."""
READ = _either(each.name for each in FORMATS.values())
READ_AS_MASKS = _either(each.name for each in FORMATS.values() if each.lossless)
UNREAD = (
    *(".heic", ".heif", ".jxl", ".svg", ".eps", ".ico", ".tga", ".pcx", ".psd", ".xcf", ".exr", ".hdr", ".dcm"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"),
)
"""Endings of images that are not read: such files are named wherever images are looked for."""
HEIC = "convert HEIC to JPEG, for example with `magick mogrify -format jpg *.heic`"
WAYS_OUT = dict.fromkeys((".heic", ".heif"), f": {HEIC}")
NEEDLESS = ("thumbs.db", "desktop.ini", "__macosx")
"""What file managers and archivers leave behind, in lower case."""


def is_picture(name: str) -> bool:
    """Whether a file's name is an image's, of one of the formats that are read or of another."""
    return name.lower().endswith((*ENDINGS, *UNREAD))


def unread(name: str) -> str:
    """The rule that a file breaks whose name is not that of an image that is read; "" for one that is."""
    if name.lower().endswith(ENDINGS):
        return ""
    ending = PurePosixPath(name).suffix
    return f"an image must be {READ}; received {ending or 'a file without an ending'}{WAYS_OUT.get(ending.lower(), '')}"


def entries(folder: Path) -> list[tuple[str, bool]]:
    """What lies in a folder, by name: the name, and whether it is a folder. Hidden files are left out.

    Raises CnncliError.
    """
    try:
        with os.scandir(folder) as found:
            return sorted((entry.name, entry.is_dir()) for entry in found if _looked_at(entry.name))
    except OSError as error:
        raise CnncliError(f"{folder}: can't be read: {error.strerror or error}") from None


def _looked_at(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in NEEDLESS
