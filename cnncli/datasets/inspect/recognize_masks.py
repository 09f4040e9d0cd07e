"""Recognizes sources whose targets are masks, by names and shapes only."""

from pathlib import Path

from cnncli.datasets.describe import find
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources import archive
from cnncli.datasets.sources.found import Found, Listing
from cnncli.errors import CnncliError


def recognize_masks(source: Found, data: DataSection) -> bool:
    """Whether a source has masks: files that are masks, but not classes; or labels as large as their images.

    Raises CnncliError where it can't be read.
    """
    if source.kind == "folder":
        return not _has_classes(source) and masked(data) is not None
    if source.kind not in ("npz", "npy", "idx"):
        return False
    headers = archive.headers(source)
    pairs = [(headers.get(f"x{key[1:]}"), header) for key, header in headers.items() if key.startswith("y_")]
    return any(x is not None and len(y.shape) > 2 and y.shape[:3] == x.shape[:3] for x, y in pairs)


def masked(data: DataSection) -> Listing | None:
    """The images with masks where a dataset lies; None where there are none. Raises CnncliError if it can't be read."""
    found = find(data.replace(targets="masks", layout="auto", columns=None), Path())
    listing = found.listing() if found.kind == "folder" else None
    return listing if listing is not None and listing.masks else None


def _has_classes(source: Found) -> bool:
    try:
        return not source.listing().unfit
    except CnncliError:  # that is told where there are no masks either
        return False
