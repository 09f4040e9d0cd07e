"""Recognizes sources whose targets are masks, by names and shapes only."""

from cnncli.datasets.layouts.mask_folders import holds_masks
from cnncli.datasets.sources import archive
from cnncli.datasets.sources.found import Found


def recognize_masks(source: Found) -> bool:
    """Whether a source has masks: folders of images and masks, or labels as large as their images.

    Raises CnncliError where it can't be read.
    """
    if source.kind == "folder":
        return holds_masks(source.file)
    if source.kind not in ("npz", "npy", "idx"):
        return False
    headers = archive.headers(source)
    pairs = [(headers.get(f"x{key[1:]}"), header) for key, header in headers.items() if key.startswith("y_")]
    return any(x is not None and len(y.shape) > 2 and y.shape[:3] == x.shape[:3] for x, y in pairs)
