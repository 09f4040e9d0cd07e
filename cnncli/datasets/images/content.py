"""Images whose content looks lost: of one colour, drawn in the alpha channel only, or in a sliver of their range."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from PIL import Image

from cnncli.datasets.images.decode import unit_floats
from cnncli.datasets.section import DataSection
from cnncli.hints import few

SLIVER = 8
"""The part of its range that an image uses at least, as a divisor."""
MOST_NAMED = 3
SIXTEEN = 65535


class Content(NamedTuple):
    """What an image holds: the least and the greatest value without its alpha channel, and the greatest possible one.

    `flat`: it is of one colour; `drawn_in_alpha`: so, but its alpha channel is not. `pages`: it is one of several.
    `channels`: how many there are, if other color modes than all read only some.
    """

    least: int
    greatest: int
    possible: int
    flat: bool
    drawn_in_alpha: bool
    pages: bool = False
    channels: int = 0

    @property
    def sliver(self) -> bool:
        """Whether an image of several colours uses little of its range."""
        used = self.greatest if self.possible == SIXTEEN else self.greatest - self.least
        return not self.flat and used * SLIVER < self.possible


def content(image: Image.Image) -> Content:
    """What an image that is read holds. Raises UnusableError for floats that are no levels."""
    if image.mode == "F":
        levels = unit_floats(image)
        ends = round(255 * float(levels.min())), round(255 * float(levels.max()))
        return Content(*ends, 255, flat=ends[0] == ends[1], drawn_in_alpha=False, pages=_has_pages(image))
    deep = image.mode.startswith("I")
    bands = _ranges(image.convert("I" if deep else "RGB"))
    flat = all(low == high for low, high in bands)
    drawn = False
    if flat and (image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info):
        ((low, high),) = _ranges(image.convert("RGBA").getchannel("A"))
        drawn = low != high
    least, greatest = min(low for low, _ in bands), max(high for _, high in bands)
    pages, channels = _has_pages(image), image.info.get("channels", 4 if image.mode == "RGBX" else 0)
    return Content(int(least), int(greatest), SIXTEEN if deep else 255, flat, drawn, pages, channels)


def _has_pages(image: Image.Image) -> bool:
    """Of a TIFF file; the frames of animations are no surprise."""
    return image.format == "TIFF" and bool(getattr(image, "is_animated", False))


def notes(found: Mapping[str, Content], data: DataSection) -> Iterator[str]:
    """What looks lost in images, by file, and the key that helps, unless `data` has it."""
    converted = data.color_mode != "all"
    drawn = [file for file, each in found.items() if each.drawn_in_alpha]
    flat = [file for file, each in found.items() if each.flat and not each.drawn_in_alpha]
    deep = [file for file, each in found.items() if each.sliver and each.possible == SIXTEEN]
    dull = [file for file, each in found.items() if each.sliver and each.possible != SIXTEEN]
    if drawn and converted and data.alpha == "drop":
        yield _note(drawn, "drawn in the alpha channel only, which is dropped; set `alpha: white` under `data`")
    if deep and converted and data.bit_depth == data.fields["bit_depth"].default:
        depth = max(found[file].greatest for file in deep).bit_length()
        yield _note(deep, f"of 16 bits with values below {1 << depth:,}; set `bit_depth: {depth}` under `data`")
    many = [file for file, each in found.items() if each.channels and converted]
    for channels in sorted({found[file].channels for file in many}):
        files = [file for file in many if found[file].channels == channels]
        yield _note(files, f"of {channels} channels; set `color_mode: all` under `data` to read all of them")
    if pages := [file for file, each in found.items() if each.pages]:
        yield _note(pages, "the first of several pages; the others are not read")
    if flat:
        yield _note(flat, "of one colour")
    if dull:
        yield _note(dull, "within an eighth of the range from black to white")


def _note(files: Sequence[str], said: str) -> str:
    return f"{len(files):,} image{'s are' if len(files) > 1 else ' is'} {said}: {few(files, MOST_NAMED)}"


def _ranges(image: Image.Image) -> list[tuple[float, float]]:
    """The least and the greatest value of each band."""
    found = image.getextrema()
    return [found] if isinstance(found[0], int | float) else list(found)
