"""Typefaces of PNG files.

Pillow contains one, Aileron, of which it has little more than the letters of ASCII; signs such as × are written in
ASCII. Other texts are written in a typeface of the system that has their letters; without one, in letters of ASCII that
come near.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import combining, normalize

from cnncli.notices import warn

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

FOLDERS = (
    *("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),  # Linux
    *("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),  # macOS
)
FILES = (
    *("NotoSans-Regular.ttf", "DejaVuSans.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "Arial Unicode.ttf"),
    *("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "PingFang.ttc", "Hiragino Sans GB.ttc"),
)
"""Files of common typefaces, those that are most like Aileron first."""
NEAR = str.maketrans({"×": "x", "…": "...", "–": "-", "—": "-", "−": "-", "→": "->", "≥": ">", "≤": "<", "µ": "u"})
UNKNOWN = "\ue123"
"""A letter of private use, which no typeface is expected to have."""


def face(text: str, size: float) -> "tuple[FreeTypeFont, str]":
    """A typeface that has the letters of the text, and the text, with other letters if there is none."""
    if (common := text.translate(NEAR)).isascii():
        return embedded(size), common
    for file in _installed():
        found = _opened(file, size)
        if all(_has(file, letter) for letter in set(text) if not letter.isspace()):
            return found, text
    warn("no installed typeface has all letters of this picture; as .svg it shows them")
    near = _plain(text)
    return embedded(size), near


@cache
def embedded(size: float) -> "FreeTypeFont":
    """Aileron, which is similar to Helvetica."""
    from PIL import ImageFont

    loaded = ImageFont.load_default(size)
    assert isinstance(loaded, ImageFont.FreeTypeFont)
    return loaded


@cache
def _installed() -> tuple[Path, ...]:
    """The files of FILES that are installed, in their order."""
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for path in _files(Path(folder).expanduser()):
            found.setdefault(path.name, path)
    return tuple(found[name] for name in FILES if name in found)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.tt[fc]") if path.name in FILES) if folder.is_dir() else iter(())


@cache
def _opened(file: Path, size: float) -> "FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.truetype(file, size)


@cache
def _has(file: Path, letter: str) -> bool:
    """Whether a typeface has a letter: it does not draw it as it draws what it lacks."""
    drawn = _opened(file, 24)
    return bytes(drawn.getmask(letter)) != bytes(drawn.getmask(UNKNOWN))


def _plain(text: str) -> str:
    """Letters of ASCII that come near: without accents, and ? for those that none comes near to."""
    apart = (letter for letter in normalize("NFKD", text.translate(NEAR)) if not combining(letter))
    return "".join(apart).encode("ascii", "replace").decode()
