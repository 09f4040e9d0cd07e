"""A test table without classes beside a training table with them, as competitions have it: it is to be predicted."""

import csv
from collections.abc import Mapping
from pathlib import Path

from cnncli.datasets.sources.found import is_number
from cnncli.system.files import text_lines


def unlabelled_test(files: Mapping[str, Path]) -> bool:
    """Whether the test table has all columns of the training table but one. Raises OSError, csv.Error, UnicodeError."""
    if not {"train", "test"} <= files.keys():
        return False
    train, test = (first_row(files[split]) for split in ("train", "test"))
    named = not all(map(is_number, train))
    return len(test) == len(train) - 1 and (set(test) < set(train) if named else all(map(is_number, test)))


def first_row(path: Path) -> list[str]:
    """The cells of a table's first line. Raises OSError, csv.Error, UnicodeError."""
    with text_lines(path) as lines:
        return [cell.strip() for cell in next(csv.reader(lines), [])]
