"""Writing drawings to files; the format is that of the suffix."""

from pathlib import Path

from cnncli.errors import UsageError
from cnncli.report.pictures.drawing import Drawing
from cnncli.system import atomic

SUFFIXES = (".svg", ".png")
CSS_DPI = 96
"""Pixels of a drawing in an inch."""
DPI = 192
"""Of PNG files, unless another is asked for."""


def save(drawing: Drawing, path: Path, *, dpi: int = DPI) -> None:
    """Write a drawing as SVG or PNG. Raises UsageError for another suffix, CnncliError if it can't be written."""
    atomic.write(path, content(drawing, suffix_of(path), dpi=dpi))


def content(drawing: Drawing, suffix: str, *, dpi: int = DPI) -> bytes:
    """The drawing as a file with the suffix .svg or .png. `dpi`: resolution of PNG."""
    if suffix == ".svg":
        from cnncli.report.pictures.svg import svg

        return svg(drawing).encode()
    from cnncli.report.pictures.png import png

    return png(drawing, scale=dpi / CSS_DPI)


def suffix_of(path: Path) -> str:
    """The suffix in lower case. Raises UsageError if it is not that of a picture."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"pictures are written as {' or '.join(SUFFIXES)}; received '{path}'")
    return suffix
