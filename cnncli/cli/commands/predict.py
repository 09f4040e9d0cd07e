"""`cnncli predict`: classify images with a trained model."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnncli.api.model import Dtype, Model
from cnncli.cli.compiling import compiling
from cnncli.cli.inputs import check_inputs, split
from cnncli.cli.options import Integer, dtype_option, example, json_option, output_option, threads_option
from cnncli.cli.target import find_target, tta_option, weights_option
from cnncli.cli.unread import unread
from cnncli.errors import CnncliError, UsageError
from cnncli.escaping import one_line
from cnncli.hints import few
from cnncli.report.terminal.output import echo_lines

if TYPE_CHECKING:
    from cnncli.training.prediction import Prediction

FILES = (".npy", ".csv")
MOST_NAMED = 3
MANY_CLASSES = 20
"""Show the top five instead of the top three with more classes than this."""


@click.command("predict", epilog=example("cnncli predict runs/mnist/latest three.png --invert"))
@click.argument("paths", metavar="[MODEL] INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@weights_option
@click.option("--top", type=Integer(1), help="Number of classes to show. Default: 3, or 5 of more than 20.")
@click.option("--invert", is_flag=True, help="Invert brightness first, for dark digits on white paper.")
@tta_option
@click.option("--raw", is_flag=True, help="Ignore the decisions of `cnncli calibrate`.")
@output_option("Write raw outputs to FILE.npy, or predictions to FILE.csv.")
@click.option(
    "--submission", metavar="FILE", type=click.Path(path_type=Path), help="Write predictions with ids to FILE.csv."
)
@click.option(
    "--columns",
    metavar="NAMES",
    help="Columns of the submission: ids, then NAME (the class), NAME=number or NAME=CLASS (its probability). Default: "
    "id,label.",
)
@click.option(
    "--like",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Sample submission, whose columns, ids and order are taken.",
)
@threads_option
@dtype_option
@json_option
def command(
    *,
    paths: tuple[Path, ...],
    weights: str | None,
    top: int | None,
    invert: bool,
    tta: str | None,
    raw: bool,
    output: Path | None,
    submission: Path | None,
    columns: str | None,
    like: Path | None,
    threads: int | None,
    dtype: Dtype | None,
    as_json: bool,
) -> None:
    """Predict the classes of images with a trained model.

    MODEL is a run, a model file or a spec (its newest run). Default: the newest run. INPUT is an image, a folder of
    images, an array (.npy), or a table (.csv) of pixels or of the names of files.
    """
    chosen, inputs = split(paths, "predict")
    check_inputs(inputs, tables=True)
    if output is not None and output.suffix not in FILES:
        raise UsageError(f"--output must be a file ending in {' or '.join(FILES)}; received {output}")
    _check_submission(submission, columns, like)
    _tell_left_out(inputs)
    model = Model(find_target(chosen, weights), threads=threads, dtype=dtype)
    from cnncli.report.prediction.files import file_of
    from cnncli.report.prediction.text import json_object, text

    means, doubts, count, lost = model.reader(raw=raw), model.doubts(inverted=invert), 0, 0
    with ExitStack() as stack:
        sinks = [stack.enter_context(file_of(output, means, model.output_shape))] if output else []
        if submission:
            from cnncli.report.prediction.submission import submission as writer

            sinks.append(stack.enter_context(writer(submission, columns, like, means)))
        if as_json:
            sinks.append(stack.enter_context(json_object(str(model.path), means.classes)))
        elif not output and not submission:
            told = top or (5 if len(means.classes) > MANY_CLASSES else 3)
            sinks.append(stack.enter_context(text(told)))
        for prediction in _compiled(model.stream(inputs, invert=invert, raw=raw, tta=tta)):
            doubts.look(prediction)
            usable = prediction.output is not None
            if submission and not usable:
                why = f"{prediction.image.name} can't be used: {prediction.image.problem}"
                raise CnncliError(f"{submission}: was not written, because {why}")
            if not usable:
                echo_lines([f"{prediction.image.name}: {prediction.image.problem}"], err=True)
            answer = means.answer(prediction) if usable else None
            for sink in sinks:
                sink(prediction, answer)
            count, lost = count + 1, lost + (not usable)
            if unread() and not output and not submission:
                break
    if (written := [file for file in (output, submission) if file]) and not as_json:
        echo_lines(f"{file}: {count:,} image{'s' * (count > 1)}" for file in written)
    for warning in doubts.warnings():
        echo_lines([f"warning: {warning}"], err=True)
    if lost:
        raise CnncliError(f"{lost:,} of {count:,} image{'s' * (count > 1)} could not be used; see above")


def _check_submission(submission: Path | None, columns: str | None, like: Path | None) -> None:
    """Raises UsageError."""
    if submission is None and (columns is not None or like is not None):
        raise UsageError(f"{'--columns' if columns is not None else '--like'} needs --submission FILE.csv")
    if submission is not None and submission.suffix != ".csv":
        raise UsageError(f"--submission must be a file ending in .csv; received {submission}")


def _tell_left_out(inputs: Sequence[Path]) -> None:
    """Name the files in folders that are no images, and are not given themselves."""
    from cnncli.datasets.images.inputs import left_out

    for folder in inputs:
        names = [name for name in left_out(folder) if folder / name not in inputs] if folder.is_dir() else []
        if names:
            count, shown = len(names), few([one_line(name) for name in names], MOST_NAMED)
            said = f"{count:,} file{'s' * (count > 1)} left out, no image{'s' * (count > 1)}"
            echo_lines([f"{folder}: {said}: {shown}"], err=True)


def _compiled(predictions: "Iterator[Prediction]") -> "Iterator[Prediction]":
    """Pass the predictions on; while kernels are compiled for the first one, show that on a terminal."""
    with compiling():
        first = next(predictions)
    yield first
    yield from predictions
