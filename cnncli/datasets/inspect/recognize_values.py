"""Recognizes folders whose table has numbers that are no classes."""

from pathlib import Path

from cnncli.datasets.layouts import value_tables
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Listing
from cnncli.errors import CnncliError, DeclarationError


def numbers(root: Path, data: DataSection) -> Listing | None:
    """The images of a folder whose table has numbers that are no classes; None of any other."""
    try:
        listing = value_tables.read(root, data.replace(targets="values", layout="auto"))
    except (CnncliError, DeclarationError):
        return None
    return listing if not listing.faults and value_tables.are_values(listing) else None
