"""`cnncli predict`: classify images with a trained model."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnncli import hints
from cnncli.api.model import Model
from cnncli.cli.options import Integer, example
from cnncli.cli.target import find_target, weights_option
from cnncli.cli.unread import unread
from cnncli.datasets.sources.image_names import ENDINGS, READ
from cnncli.errors import CnncliError, UsageError
from cnncli.hints import suggestion
from cnncli.report.terminal.output import echo_lines
from cnncli.report.terminal.progress import Status
from cnncli.training.runs.past_runs import model_files

if TYPE_CHECKING:
    from cnncli.training.prediction import Prediction

INPUTS = (*ENDINGS, ".npy")
FILES = (".npy", ".csv")
MANY_CLASSES = 20
"""Show the top five instead of the top three with more classes than this."""


@click.command("predict", epilog=example("cnncli predict runs/mnist/latest three.png --invert"))
@click.argument("paths", metavar="[MODEL] INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@weights_option
@click.option("--top", type=Integer(1), help="Number of classes to show. Default: 3, or 5 of more than 20.")
@click.option("--invert", is_flag=True, help="Invert brightness first, for dark digits on white paper.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write raw outputs to FILE.npy, or predictions to FILE.csv.",
)
@click.option("--threads", type=Integer(1), help="Number of threads. Default: the available CPUs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    *,
    paths: tuple[Path, ...],
    weights: str | None,
    top: int | None,
    invert: bool,
    output: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Predict the classes of images with a trained model.

    MODEL is a run, a model file or a spec (its newest run). Default: the newest run. INPUT is an image, a folder of
    images, or an array (.npy).
    """
    chosen, inputs = _split(paths)
    _check(inputs, output)
    model = Model(find_target(chosen, weights), threads=threads)
    from cnncli.report.prediction.files import file_of
    from cnncli.report.prediction.text import json_object, text

    means, doubts, count, lost = model.reader, model.doubts(inverted=invert), 0, 0
    with ExitStack() as stack:
        sinks = [stack.enter_context(file_of(output, means, model.output_shape))] if output else []
        if as_json:
            sinks.append(stack.enter_context(json_object(str(model.path), means.classes)))
        elif not output:
            told = top or (5 if len(means.classes) > MANY_CLASSES else 3)
            sinks.append(stack.enter_context(text(told)))
        for prediction in _compiled(model.stream(inputs, invert=invert)):
            doubts.look(prediction)
            usable = prediction.output is not None
            if not usable:
                echo_lines([f"{prediction.image.name}: {prediction.image.problem}"], err=True)
            answer = means.answer(prediction) if usable else None
            for sink in sinks:
                sink(prediction, answer)
            count, lost = count + 1, lost + (not usable)
            if unread() and not output:
                break
    if output and not as_json:
        echo_lines([f"{output}: {count:,} image{'s' * (count > 1)}"])
    for warning in doubts.warnings():
        echo_lines([f"warning: {warning}"], err=True)
    if lost:
        raise CnncliError(f"{lost:,} of {count:,} image{'s' * (count > 1)} could not be used; see above")


def _split(paths: Sequence[Path]) -> tuple[Path | None, Sequence[Path]]:
    """Split the paths into the model, if the first one is a model, and the inputs. Raises UsageError without inputs."""
    first, *others = paths
    if others and _is_input(first) and any(path.suffix == hints.MODEL_ENDING or model_files(path) for path in others):
        raise UsageError(f"the model comes first: cnncli predict MODEL INPUT...; received {first}")
    if _is_input(first) or (not others and not first.exists()):
        return None, paths
    if not others:
        raise UsageError(
            f"predict needs an INPUT after the model: an image, a folder of images or a .npy; received {first} alone"
        )
    return first, others


def _is_input(path: Path) -> bool:
    """Whether a path is an image, an array or a folder of images, rather than a model."""
    if path.suffix.lower() in INPUTS and not path.is_dir():
        return True
    if not path.is_dir() or hints.is_run(path) or model_files(path):
        return False
    from cnncli.datasets.images.inputs import holds_images

    return holds_images(path)


def _check(inputs: Sequence[Path], output: Path | None) -> None:
    """Validate the command line before reading a model. Raises UsageError."""
    for path in inputs:
        if not path.exists():
            raise UsageError(f"there is no file or folder '{path}'{suggestion(str(path), _beside(path))}")
        if path.suffix == ".npz":
            raise UsageError(f"an INPUT must be an image, a folder of images or one array (.npy); received {path}")
        if path.is_dir():
            from cnncli.datasets.images.inputs import holds_images

            if not holds_images(path):
                raise UsageError(f"{path}: a folder must have at least one image ({READ})")
    if output is not None and output.suffix not in FILES:
        raise UsageError(f"--output must be a file ending in {' or '.join(FILES)}; received {output}")


def _beside(path: Path) -> list[str]:
    """Candidates for INPUT in the parent folder of `path`."""
    found = sorted(path.parent.glob("[!.]*"))
    return [str(other) for other in found if other.suffix.lower() in INPUTS or other.is_dir()]


def _compiled(predictions: "Iterator[Prediction]") -> "Iterator[Prediction]":
    """Pass the predictions on; while kernels are compiled for the first one, show that on a terminal."""
    from cnncli.kernels.jit import compilations

    with Status() as notice:
        notice.say("compiling kernels …")
        with compilations.heard_by(lambda made: notice.say(f"compiling kernels … {made.name} is ready")):
            first = next(predictions)
    yield first
    yield from predictions
