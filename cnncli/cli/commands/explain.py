"""`cnncli explain`: a picture of what a prediction depends on."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnncli.api.model import Model
from cnncli.api.plots import plot_explanations
from cnncli.cli.compiling import compiling
from cnncli.cli.inputs import check_inputs, split
from cnncli.cli.options import example, json_option, output_option, threads_option
from cnncli.cli.target import find_target, weights_option
from cnncli.errors import CnncliError, UsageError
from cnncli.escaping import json_line
from cnncli.report.pictures.save import suffix_of
from cnncli.report.terminal.output import echo, echo_lines

if TYPE_CHECKING:
    from cnncli.api.explanation import Explaining
    from cnncli.training.explanation import Explanation

MOST_IMAGES = 20
"""Rows of a sheet."""


@click.command("explain", epilog=example("cnncli explain runs/mnist/latest three.png -o three.svg"))
@click.argument("paths", metavar="[MODEL] INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@weights_option
@click.option(
    "--layer",
    "layers",
    metavar="NAME",
    multiple=True,
    help="Layer of Grad-CAM and feature maps. Repeatable. Default: the last convolution.",
)
@click.option("--class", "cls", metavar="CLASS", help="Name or number of the class. Default: the predicted one.")
@click.option(
    "--method",
    metavar="NAMES",
    help="Of gradcam, saliency, occlusion, maps, filters; separated by commas. Default: all.",
)
@click.option("--invert", is_flag=True, help="Invert brightness first, for dark digits on white paper.")
@output_option("Picture to write, .svg or .png.", default="explain.svg", show_default=True)
@threads_option
@json_option
def command(
    *,
    paths: tuple[Path, ...],
    weights: str | None,
    layers: tuple[str, ...],
    cls: str | None,
    method: str | None,
    invert: bool,
    output: Path,
    threads: int | None,
    as_json: bool,
) -> None:
    """Explain a prediction: draw what it depends on.

    The sheet shows the image, what the network saw, Grad-CAM, saliency, occlusion, feature maps and the filters of the
    first convolution. With several images, each has a row.

    MODEL is a run, a model file or a spec (its newest run). Default: the newest run. INPUT is an image, a folder of
    images, or an array (.npy) of one image.
    """
    suffix_of(output)
    chosen, inputs = split(paths, "explain")
    check_inputs(inputs)
    model = Model(find_target(chosen, weights), threads=threads)
    from cnncli.api.explanation import Explaining

    methods = None if method is None else [name.strip() for name in method.split(",")]
    explaining = Explaining(model, layer=layers, cls=cls, methods=methods, invert=invert)
    found, lost = _explained(explaining, _images(inputs))
    if found:
        plot_explanations(found).save(output)
    if as_json:
        echo(json_line({"model": str(model.path), "output": str(output), "images": list(map(_document, found))}))
    elif found:
        from cnncli.report.plots.explanation import headline

        echo_lines([*map(headline, found), f"{output}: {len(found):,} image{'s' * (len(found) > 1)}"])
    for warning in explaining.doubts.warnings():
        echo_lines([f"warning: {warning}"], err=True)
    if lost:
        count = len(found) + lost
        raise CnncliError(f"{lost:,} of {count:,} image{'s' * (count > 1)} could not be used; see above")


def _images(inputs: Sequence[Path]) -> list[Path]:
    """The image files. Raises UsageError for more than a sheet holds."""
    from cnncli.datasets.images.inputs import files

    found = list(islice((file for path in inputs for file in files(path)), MOST_IMAGES + 1))
    if len(found) > MOST_IMAGES:
        raise UsageError(f"explain takes at most {MOST_IMAGES} images at a time; received more")
    return found


def _explained(explaining: "Explaining", images: Sequence[Path]) -> "tuple[list[Explanation], int]":
    """The explanations, and how many images could not be used; those are listed."""
    from cnncli.datasets.sources.image_files import UnusableError

    found, lost = [], 0
    for image in images:
        try:
            with compiling():
                found.append(explaining.explain(image))
        except UnusableError as error:
            echo_lines([str(error)], err=True)
            lost += 1
    return found, lost


def _document(each: "Explanation") -> dict[str, object]:
    """An explanation for programs: what was predicted and what was explained."""
    from cnncli.report.prediction.outputs import number

    named = (
        {}
        if each.predicted is None
        else {
            "class": each.classes[each.predicted],
            "probability": number(each.probabilities[each.predicted]),
            "explained": each.classes[each.cls or 0],
            "score": each.score,
        }
    )
    return {"file": each.name, **named, "gradcam": list(each.gradcam), "maps": list(each.feature_maps)}
