"""The rows of CSV tables divided among the splits."""

from collections.abc import Mapping

from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.csv_layout import Tables, listing
from cnncli.datasets.splits import selection


def divided(found: Tables, data: DataSection, seed: int) -> Mapping[str, list[int]]:
    """The rows of each split: all of its own file, or a share of each class of the training rows, by the seed.

    Raises DeclarationError as `selection.splits` does.
    """
    return {
        split: [int(row.file) for row in part] for split, part in selection.splits(listing(found), data, seed).items()
    }
