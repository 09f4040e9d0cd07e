"""Predictions as a competition wants them: a row per image with its id, and columns of one's choice."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cnncli.datasets.images.input_tables import cells, without_ending
from cnncli.errors import CnncliError, UsageError
from cnncli.hints import suggestion
from cnncli.report.prediction.outputs import Answer, Reader
from cnncli.report.prediction.text import Sink
from cnncli.system import atomic
from cnncli.training.prediction import Prediction

COLUMNS = "id,label"
CLASS, NUMBER = "class", "number"


class Column(NamedTuple):
    """A column's name, and what is in it: the predicted class, its number, or the value of a class (or output)."""

    name: str
    value: str


@contextmanager
def submission(path: Path, columns: str | None, like: Path | None, means: Reader) -> Iterator[Sink]:
    """What writes the submission to `path`, when all is in it.

    columns: "id,label", the first for ids; others are NAME, NAME=number or NAME=CLASS, a class's probability. like: a
    sample submission, whose ids, order and, by default, columns are taken. Raises UsageError for columns that the model
    has not; CnncliError for an id of several images, and for one of the sample that no image has.
    """
    sample = None if like is None else cells(like)
    if sample is not None and len(sample) < 2:
        raise CnncliError(f"{like}: a sample submission must have a line of names and a row for each image")
    wanted = columns or (COLUMNS if sample is None else ",".join(sample[0]))
    first, others = _columns(wanted, means)
    rows: dict[str, tuple[str, list[Any]]] = {}

    def add(prediction: Prediction, answer: Answer | None) -> None:
        name, key = prediction.image.name, prediction.image.key
        if key in rows:
            raise CnncliError(
                f"{path}: was not written, because two images have the id '{key}': {rows[key][0]}, {name}"
            )
        assert answer is not None
        rows[key] = name, [_cell(column, answer, means) for column in others]

    yield add
    keys = list(rows) if sample is None else [row[0] for row in sample[1:]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([first, *(column.name for column in others)])
    for key in keys:
        own = rows.get(key) or rows.get(without_ending(key))
        if own is None:
            raise CnncliError(f"{path}: was not written, because no image has the id '{key}' of {like}")
        writer.writerow([key, *own[1]])
    atomic.write(path, text.getvalue().encode())


def _columns(text: str, means: Reader) -> tuple[str, list[Column]]:
    """The name of the column of ids, and the others. Raises UsageError."""
    first, *others = (part.strip() for part in text.split(","))
    if not first or not others or not all(others):
        raise UsageError(f"--columns must be a column for ids and others, such as {COLUMNS}; received '{text}'")
    if not means.classes:
        raise UsageError("--submission needs a model that predicts classes or numbers")
    return first, [_column(part, means) for part in others]


def _column(text: str, means: Reader) -> Column:
    name, _, value = text.partition("=")
    classes, numbers = list(means.classes), len(means.columns) == len(means.classes)
    if not value:
        value = name if name in classes else classes[0] if numbers and len(classes) == 1 else CLASS
    if value in classes or (value in (CLASS, NUMBER) and not numbers):
        return Column(name, value)
    known = f"{'' if numbers else f'{CLASS}, {NUMBER}, '}{', '.join(classes[:5])}{', …' if len(classes) > 5 else ''}"
    raise UsageError(f"--columns: '{text}' must be NAME=VALUE with one of {known}{suggestion(value, classes)}")


def _cell(column: Column, answer: Answer, means: Reader) -> Any:
    classes = list(means.classes)
    if column.value in classes:
        return answer.cells[classes.index(column.value) + len(means.columns) - len(classes)]
    if column.value == CLASS:
        return answer.cells[0]
    names = answer.document.get("classes", [answer.document.get("class")])
    return " ".join(str(classes.index(name)) for name in names if name in classes)
