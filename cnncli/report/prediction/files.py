"""Predictions in a file: an array, or a table. It takes its place when all are in it; a row for every image."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from cnncli.report.prediction.outputs import Answer, Reader
from cnncli.report.prediction.text import Sink
from cnncli.system.atomic import replacing, write_errors
from cnncli.training.prediction import Prediction

Array = np.ndarray[Any, Any]


@contextmanager
def file_of(path: Path, means: Reader, outputs: tuple[int, ...]) -> Iterator[Sink]:
    """What writes to `path`, .npy or .csv, the outputs of shape `outputs`, or what they mean."""
    with replacing(path) as file, (_array if path.suffix == ".npy" else _table)(path, file, means, outputs) as sink:
        yield sink


@contextmanager
def _array(path: Path, file: IO[bytes], means: Reader, outputs: tuple[int, ...]) -> Iterator[Sink]:
    """float32 (N, *outputs); a row of NaN for an image that can't be used, so that row n is always image n."""
    count = 0
    with write_errors(path):
        file.write(_header(count, outputs))
    lost = np.full(outputs, np.nan, np.float32)

    def add(prediction: Prediction, answer: Answer | None) -> None:
        nonlocal count
        output = lost if prediction.given is None else prediction.given
        with write_errors(path):
            file.write(np.ascontiguousarray(output, "<f4").tobytes())
        count += 1

    yield add
    with write_errors(path):
        file.seek(0)
        file.write(_header(count, outputs))


@contextmanager
def _table(path: Path, file: IO[bytes], means: Reader, outputs: tuple[int, ...]) -> Iterator[Sink]:
    """One row per image, with a header; empty cells for unusable images."""

    def line(cells: Sequence[Any]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        with write_errors(path):
            file.write(text.getvalue().encode())

    def add(prediction: Prediction, answer: Answer | None) -> None:
        line([prediction.image.name, *([""] * len(means.columns) if answer is None else answer.cells)])

    line(["file", *means.columns])
    yield add


def _header(count: int, outputs: tuple[int, ...]) -> bytes:
    """NumPy leaves room for the number of rows to grow: the header is as long for any of them."""
    header = io.BytesIO()
    shape = (count, *outputs)
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue()
