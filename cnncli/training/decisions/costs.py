"""Cost tables: what each answer costs for each true class."""

import csv
from collections.abc import Mapping, Sequence
from math import isfinite, nan
from pathlib import Path

from cnncli.errors import CnncliError, UsageError, reason
from cnncli.hints import suggestion
from cnncli.system.files import text_lines
from cnncli.training.decisions.decision import GREATEST_COST, UNKNOWN


def read_costs(path: Path, names: Sequence[str]) -> list[list[float]]:
    """Read a table: a header of answers, then a row per true class, which its first cell names. A column "unknown" is
    the cost of no answer. Returns rows of true classes and columns of answers in the order of `names`.

    Raises CnncliError if it can't be read, UsageError for a table of other classes or of costs that are not numbers.
    """
    try:
        with text_lines(path) as lines:
            header, *rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if any(row)] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CnncliError(f"{path}: can't be read: {reason(error)}") from None
    columns, true = header[1:], [row[0] for row in rows]
    answers = [*names, *([UNKNOWN] if UNKNOWN in columns and UNKNOWN not in names else [])]
    _check(path, "columns", columns, answers)
    _check(path, "rows", true, names)
    table = {row[0]: dict(zip(columns, row[1:], strict=False)) for row in rows}
    return [[_cost(path, name, answer, table[name]) for answer in answers] for name in names]


def _check(path: Path, what: str, found: Sequence[str], names: Sequence[str]) -> None:
    """Raise UsageError unless each name is there once, and nothing else."""
    for name in found:
        if name not in names:
            rule = f"{path}: its {what} must be the model's classes"
            raise UsageError(f"{rule}; received {name!r}{suggestion(name, names)}")
    for name in names:
        if found.count(name) != 1:
            raise UsageError(f"{path}: its {what} must have '{name}' once; it is there {found.count(name)} times")


def _cost(path: Path, name: str, answer: str, row: Mapping[str, str]) -> float:
    text = row.get(answer, "")
    try:
        cost = float(text)
    except ValueError:
        cost = nan
    if not abs(cost) <= GREATEST_COST:
        rule = f"at most {GREATEST_COST:g}" if isfinite(cost) else "a number"
        raise UsageError(f"{path}: the cost of answering '{answer}' for '{name}' must be {rule}; received {text!r}")
    return cost
