"""`cnncli predict`: what a trained model says of images."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnncli import hints
from cnncli.cli.model_target import find_model, network_of, weights_option
from cnncli.cli.options import Integer, example
from cnncli.cli.target import carried_spec
from cnncli.cli.unread import unread
from cnncli.datasets.rescale import rescale_for
from cnncli.datasets.sources.folder import ENDINGS, READ
from cnncli.errors import CnncliError, UsageError
from cnncli.hints import suggestion
from cnncli.report.terminal.output import echo_lines
from cnncli.report.terminal.progress import Notice
from cnncli.training.resources import threads as cpus
from cnncli.training.runs.past_runs import model_files

if TYPE_CHECKING:
    from cnncli.datasets.images.brightness_stats import BrightnessStats
    from cnncli.datasets.images.decode import Form
    from cnncli.datasets.section import DataSection
    from cnncli.training.prediction import Prediction
    from cnncli.training.runs.checkpoint import ModelFile

INPUTS = (*ENDINGS, ".npy")
FILES = (".npy", ".csv")
MANY_CLASSES = 20
"""With more, the five likeliest are told instead of the three."""


@click.command("predict", epilog=example("cnncli predict runs/mnist/latest three.png --invert"))
@click.argument("paths", metavar="[MODEL] INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@weights_option
@click.option("--top", type=Integer(1), help="How many classes are told; 3, or 5 of more than 20.")
@click.option("--invert", is_flag=True, help="Turn light into dark first: for dark digits on white paper.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write all outputs to FILE.npy, or what they mean to FILE.csv.",
)
@click.option("--threads", type=Integer(1), help="Default: the CPUs this process may use.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
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
    """Classify images with a trained model.

    MODEL is a run, a model file or a spec (its newest run); without it, the newest run is used. An INPUT is an image, a
    folder of images, or an array (.npy).
    """
    cpus.settle(threads)
    model, inputs = _split(paths)
    _check(inputs, output)
    target = find_model(model, weights)
    from cnncli.datasets.images.inputs import images
    from cnncli.report.prediction.files import file_of
    from cnncli.report.prediction.out_of_distribution import Doubts
    from cnncli.report.prediction.outputs import meaning
    from cnncli.report.prediction.text import json_object, text
    from cnncli.training.prediction import predict
    from cnncli.training.runs import checkpoint

    file = checkpoint.load(target.file)
    spec = carried_spec(file.about, training=False)
    network = network_of(spec, file)
    names, outputs = file.about.class_names, network.targets.shape[1:]
    means = meaning(spec.model, spec.compile.loss, outputs, spec.data.targets, names)
    shape = spec.model.input_shape
    found = images(inputs, _form(spec.data, shape), shape, invert=invert)
    predictions = predict(network, found, rescale_for(spec.model, spec.data.rescale))
    doubts, count, lost = Doubts(_tone(file), inverted=invert), 0, 0
    with ExitStack() as stack:
        sinks = [stack.enter_context(file_of(output, means, outputs))] if output else []
        if as_json:
            sinks.append(stack.enter_context(json_object(str(target.file), means.classes)))
        elif not output:
            told = top or (5 if len(means.classes) > MANY_CLASSES else 3)
            sinks.append(stack.enter_context(text(told)))
        for prediction in _compiled(predictions):
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
    doubts.tell()
    if lost:
        raise CnncliError(f"{lost:,} of {count:,} image{'s' * (count > 1)} could not be used; see above")


def _split(paths: Sequence[Path]) -> tuple[Path | None, Sequence[Path]]:
    """The model, if the first path is one, and the inputs. Raises UsageError where there is no input."""
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
    """Whether a path is an image, an array or a folder of images, and so no model."""
    if path.suffix.lower() in INPUTS and not path.is_dir():
        return True
    if not path.is_dir() or hints.is_run(path) or model_files(path):
        return False
    from cnncli.datasets.images.inputs import holds_images

    return holds_images(path)


def _check(inputs: Sequence[Path], output: Path | None) -> None:
    """Raise UsageError for what is wrong with the command line, before a model is read."""
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
    """What may be an INPUT in the folder where `path` should be."""
    found = sorted(path.parent.glob("[!.]*"))
    return [str(other) for other in found if other.suffix.lower() in INPUTS or other.is_dir()]


def _form(data: "DataSection", shape: tuple[int, ...]) -> "Form | None":
    """What pictures are made into: as in training, but of any size; None where the model takes no pictures."""
    from cnncli.datasets.images.decode import Form

    modes = {1: "grayscale", 3: "rgb"}
    if len(shape) != 3 or shape[2] not in modes:
        return None
    height, width, channels = shape
    return Form.of(data, height, width, modes[channels])


def _tone(file: "ModelFile") -> "BrightnessStats | None":
    from cnncli.datasets.images.brightness_stats import BrightnessStats

    tone: BrightnessStats | None = file.about.value("tone", BrightnessStats) if "tone" in file.metadata else None
    return tone


def _compiled(predictions: "Iterator[Prediction]") -> "Iterator[Prediction]":
    """The same; until the first is there, a terminal shows that kernels are compiled, where they are."""
    from cnncli.kernels.jit import compilations

    with Notice() as notice:
        notice.say("compiling kernels …")
        with compilations.told_to(lambda made: notice.say(f"compiling kernels … {made.name} is ready")):
            first = next(predictions)
    yield first
    yield from predictions
