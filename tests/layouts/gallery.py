"""The layouts of docs/layouts.md: how their files are written, what a spec says, and what a model learns at least."""

from collections.abc import Mapping, Sequence

from tests.layouts import (
    in_arrays,
    in_folders,
    in_names,
    in_tables,
    with_boxes,
    with_channels,
    with_masks,
    with_numbers,
)
from tests.layouts.layout import Layout

GROUPS: Mapping[str, Sequence[Layout]] = {
    "Folders": in_folders.LAYOUTS,
    "Tables of images": in_tables.LAYOUTS,
    "Names": in_names.LAYOUTS,
    "Arrays": in_arrays.LAYOUTS,
    "Masks": with_masks.LAYOUTS,
    "Numbers": with_numbers.LAYOUTS,
    "Detection sets": with_boxes.LAYOUTS,
    "Many channels": with_channels.LAYOUTS,
}
"""By the headings of the page."""
LAYOUTS = [layout for group in GROUPS.values() for layout in group]
