"""Layouts: images of more than three channels."""

from pathlib import Path

import numpy as np

from tests.layouts import shapes
from tests.layouts.layout import Layout
from tests.layouts.shapes import NAMES


def bands(root: Path) -> None:
    """TIFF files of five bands of 16 bits: the three colors, and two made of them."""
    import tifffile  # an extra

    for number, name in enumerate(NAMES):
        (root / "fields" / name).mkdir(parents=True)
        for i, pixels in enumerate(shapes.drawn(number)[0]):
            more = np.stack([pixels.mean(axis=2), pixels.max(axis=2)], axis=2)
            made = (np.concatenate([pixels, more], axis=2) * 40.0).astype(np.uint16)
            options = {"photometric": "minisblack", "planarconfig": "contig"}
            tifffile.imwrite(root / f"fields/{name}/{i:03}.tif", made, **options)


LAYOUTS = (
    Layout(
        "bands",
        "Images of five bands",
        "As in TIFF files of satellites: `pip install 'cnncli[tiff]'`. `init` writes that all channels are read, and "
        "normalized. The first three are drawn.",
        bands,
        "fields",
    ),
)
