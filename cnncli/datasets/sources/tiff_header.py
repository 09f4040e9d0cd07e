"""What the tags of a TIFF file say of its first page, also where Pillow does not read it."""

import io
from typing import NamedTuple

from PIL import ExifTags, TiffImagePlugin

TURNED = (5, 6, 7, 8)
"""Orientations in which height and width are exchanged."""
BIG = 43
"""What a BigTIFF file begins with after the order of its bytes; its header is longer."""


class TiffHeader(NamedTuple):
    """`size`: (height, width) as it is seen. `bits`: of a sample, the most of all channels."""

    size: tuple[int, int]
    channels: int
    bits: int


def tiff_header(file: io.BufferedReader) -> TiffHeader | None:
    """What a file says; None unless it is a TIFF file. Of damage, Pillow raises errors of many kinds."""
    start = file.read(8)
    if start[:4] not in TiffImagePlugin.PREFIXES:
        return None
    if BIG in start[2:4]:
        start += file.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(start)
    file.seek(tags.next)
    tags.load(file)
    width, height = int(tags[TiffImagePlugin.IMAGEWIDTH]), int(tags[TiffImagePlugin.IMAGELENGTH])
    turned = tags.get(ExifTags.Base.Orientation, 1) in TURNED
    channels, bits = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1), tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    return TiffHeader((width, height) if turned else (height, width), int(channels), max(map(int, bits)))
