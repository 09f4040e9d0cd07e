"""Recognizes folders whose table has numbers that are no classes."""

from pathlib import Path

from cnncli.datasets.describe import find
from cnncli.datasets.layouts import value_tables
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Listing
from cnncli.errors import CnncliError, DeclarationError


def numbers(data: DataSection) -> Listing | None:
    """The images of a folder whose table has numbers that are no classes; None of any other."""
    try:
        listing = find(data.replace(targets="values", layout="auto"), Path()).listing()
    except (CnncliError, DeclarationError):
        return None
    return listing if not listing.faults and value_tables.are_values(listing) else None
