"""`cnncli plot`: pictures of specs, runs and models."""

import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cnncli.api.plots import WHATS, Plot, PlotOptions, What, diagram, plotted
from cnncli.cli.characters import draw_in_characters
from cnncli.cli.downloads import offline_option
from cnncli.cli.options import Integer, data_option, example, output_option, threads_option
from cnncli.cli.target import given_or_newest, weights_option
from cnncli.errors import UsageError
from cnncli.report.diagram.diagram import DiagramOptions
from cnncli.report.pictures.save import DPI, SUFFIXES, suffix_of
from cnncli.report.terminal.output import echo_lines, echo_raw
from cnncli.report.terminal.progress import Status
from cnncli.system import atomic

TEXTS = ("mermaid", "dot")
FORMATS = (*(suffix[1:] for suffix in SUFFIXES), *TEXTS)
ENDINGS = {".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot"}
"""Suffixes of files with a diagram as text."""
CONCERNS = {
    **{option.name: ("model",) for option in fields(DiagramOptions)},
    "log": ("curves",),
    "normalize": ("confusion",),
    "classes": ("roc", "precision-recall"),
    "layer": ("filters",),
    "images": ("augment",),
    "draws": ("augment",),
    "weights": ("filters", "confusion", "mistakes", "calibration", "roc", "precision-recall"),
    "data": ("confusion", "mistakes", "calibration", "roc", "precision-recall"),
}
"""What an option is for; all others are for everything."""


@click.command("plot", epilog=example("cnncli plot runs/mnist/latest --what curves -o curves.svg"))
@click.argument("targets", metavar="[SPEC|MODEL|RUN]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    *("--what", "what"),
    metavar="WHAT",
    type=click.Choice(WHATS),
    default="model",
    show_default=True,
    help="What to plot: one of the above.",
)
@output_option("File to write, its format by the suffix.")
@click.option("--format", "kind", type=click.Choice(FORMATS), help="Format, where no file says it. Default: svg.")
@click.option("--dpi", type=Integer(24, 1200), default=DPI, show_default=True, help="Resolution of PNG files.")
@click.option("--show-shapes", is_flag=True, help="model: show the shape of each output.")
@click.option("--show-dtype", is_flag=True, help="model: show the data type of each output.")
@click.option("--show-layer-names", is_flag=True, help="model: show the names of the layers.")
@click.option("--show-layer-activations", is_flag=True, help="model: show activations.")
@click.option("--show-trainable", is_flag=True, help="model: show which layers are trained.")
@click.option("--expand-blocks", is_flag=True, help="model: show the layers of each block.")
@click.option("--rankdir", type=click.Choice(["TB", "BT", "LR", "RL"]), default="TB", help="model: direction.")
@click.option("--log", is_flag=True, help="curves: a logarithmic axis for the loss.")
@click.option("--normalize", type=click.Choice(["true", "predicted", "all"]), help="confusion: shares, in percent.")
@click.option(
    "--class", "classes", metavar="NAME", multiple=True, help="roc, precision-recall: of this class. Repeatable."
)
@click.option("--layer", metavar="NAME", help="filters: the convolution. Default: the first.")
@click.option("--images", type=Integer(1, 64), default=8, show_default=True, help="augment: number of images.")
@click.option("--draws", type=Integer(1, 64), default=4, show_default=True, help="augment: versions of each.")
@data_option("Data to evaluate on, as in `evaluate`.")
@weights_option
@threads_option
@offline_option
def command(
    *, targets: tuple[Path, ...], what: What, output: Path | None, kind: str | None, dpi: int, **options: Any
) -> None:
    """Draw a picture of a spec, a model or a run. Default: the newest run.

    \b
    model             the layers
    curves            loss and metrics over the epochs, of one or several runs
    schedule          the learning rate over the epochs
    augment           training images as they are and as augmented
    filters           the filters of a convolution
    confusion         the confusion matrix
    mistakes          the misclassified images, the worst first
    calibration       how often answers are right, by their probability
    roc               ROC curves
    precision-recall  curves of precision and recall

    Without -o, a terminal shows the picture if it can; curves are drawn with characters if not. Otherwise it is
    written to a file named after the model.
    """
    _refuse_unrelated(what)
    for target in targets:
        if str(target) in WHATS and not target.exists():
            raise UsageError(f"there is no spec, run or model file '{target}'; write `cnncli plot --what {target}`")
    kind = _format(what, output, kind)
    listed = targets or (given_or_newest(None),)
    of_diagram = DiagramOptions(**{option.name: options.pop(option.name) for option in fields(DiagramOptions)})
    if kind in TEXTS:
        _write_text(_text(listed, of_diagram, kind), output)
        return
    with Status() as status:
        made = plotted(listed, what, PlotOptions(diagram=of_diagram, **options), status)
    if output is None and kind is None and sys.stdout.isatty() and _shown(made):
        return
    path = output or Path(f"{Path(made.name).name}-{what}.{kind or 'svg'}")
    made.save(path, dpi=dpi)
    echo_lines([f"{path}"])


def _refuse_unrelated(what: str) -> None:
    """Raise UsageError for an option that is not for what is plotted."""
    context = click.get_current_context()
    for option in context.command.params:
        name = option.name or ""
        given = _is_given(name)
        if given and what not in CONCERNS.get(name, (what,)):
            raise UsageError(f"{option.opts[0]} is for --what {' or '.join(CONCERNS[name])}, not for {what}")


def _is_given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def _format(what: str, output: Path | None, kind: str | None) -> str | None:
    """The format of the file; None if nothing says it. Raises UsageError for one that there is not."""
    named = None
    if output is not None:
        named = ENDINGS.get(output.suffix.lower()) or suffix_of(output)[1:]
        if kind not in (None, named):
            raise UsageError(f"--format {kind} and -o {output} contradict each other")
    kind = kind or named
    if kind in TEXTS and what != "model":
        raise UsageError(f"--format {kind} is for --what model, not for {what}")
    if kind != "png" and _is_given("dpi"):
        raise UsageError("--dpi is for PNG files: an SVG is sharp at any size")
    return kind


def _text(targets: Sequence[Path], options: DiagramOptions, kind: str) -> str:
    from cnncli.report.diagram.text import dot, mermaid

    if len(targets) != 1:
        raise UsageError(f"'model' is plotted of one model; received {len(targets)}")
    found = diagram(targets[0], options)
    return mermaid(found) if kind == "mermaid" else dot(found)


def _write_text(text: str, output: Path | None) -> None:
    if output is None:
        echo_lines(text.splitlines())
        return
    atomic.write(output, text.encode())
    echo_lines([f"{output}"])


def _shown(made: Plot) -> bool:
    """Show the picture in the terminal, if it can; whether it could."""
    from cnncli.report.terminal.graphics import display, picture, room

    terminal = display()
    if terminal is not None:
        from io import BytesIO

        from PIL import Image

        from cnncli.report.pictures.png import png

        width, height = room()
        scale = min(1.0, width / made.drawing.width, height / made.drawing.height)
        drawn = Image.open(BytesIO(png(made.drawing, scale=scale, dark=terminal.dark)))
        echo_raw(picture(drawn, terminal.protocol))
        return True
    return draw_in_characters(made.figures)
