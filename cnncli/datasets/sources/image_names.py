"""Names of image files, and what lies in a folder."""

import os
from pathlib import Path, PurePosixPath

from cnncli.errors import CnncliError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
READ = "PNG, JPEG, WebP, BMP or GIF"
UNREAD = (
    *(".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".jfif", ".svg", ".eps", ".ico", ".tga", ".pcx"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".psd", ".xcf", ".exr", ".hdr", ".dcm"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"),
)
"""Endings of images that are not read: such files are named wherever images are looked for."""
NEEDLESS = ("thumbs.db", "desktop.ini", "__macosx")
"""What file managers and archivers leave behind, in lower case."""


def is_picture(name: str) -> bool:
    """Whether a file's name is an image's, of one of the formats that are read or of another."""
    return name.lower().endswith((*ENDINGS, *UNREAD))


def unread(name: str) -> str:
    """The rule that a file breaks whose name is not that of an image that is read; "" for one that is."""
    if name.lower().endswith(ENDINGS):
        return ""
    return f"an image must be {READ}; received {PurePosixPath(name).suffix or 'a file without an ending'}"


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
