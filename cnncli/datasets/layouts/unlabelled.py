"""Folders of images without labels: they may lie anywhere, also in folders of splits."""

from pathlib import Path

from cnncli.datasets.layouts.split_folders import EMPTY, images_below, split_folders
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Listing, Sample


def read(root: Path, data: DataSection) -> Listing:
    """List the images of a folder wherever they lie, and of no class. Raises CnncliError where it can't be read."""
    problems: list[Problem] = []
    found = {
        split: sorted(map(Sample, images_below(root, folder, problems)))
        for split, folder in split_folders(root).folders.items()
    }
    kept = {name: found[name] for name in ("train", "validation", "test") if found.get(name)}
    return Listing(root, (), kept, False, tuple(problems), () if kept else (EMPTY,))
