"""`cnncli export`: a trained model as a file of another program."""

from pathlib import Path

import click

from cnncli.api.export import export_model
from cnncli.api.model import Model
from cnncli.cli.options import example, output_option
from cnncli.cli.target import find_target, weights_option
from cnncli.interop.exports.exported import ExportOptions
from cnncli.interop.exports.formats import CONVERTED, FORMATS, format_of
from cnncli.report.terminal.output import echo_lines

WIDTH = max(map(len, FORMATS))
LISTED = "\n".join(f"{name.ljust(WIDTH)}  {found.about}" for name, found in FORMATS.items())
HELP = f"""Write a trained model for another program.

\b
{LISTED}

MODEL is a run, a model file or a spec (its newest run). Default: the newest run.
"""


@click.command("export", help=HELP, epilog=example("cnncli export runs/mnist/latest -o digits --format numpy"))
@click.argument("model", required=False, type=click.Path(path_type=Path))
@weights_option
@output_option("File or folder to write.", required=True)
@click.option(
    "--format",
    "name",
    metavar="NAME",
    type=click.Choice([*FORMATS, *CONVERTED]),
    help="Format: one of the above. Default: that of the suffix.",
)
@click.option("--no-fold", is_flag=True, help="Keep normalizations, instead of folding them into the layers before.")
@click.option("--nhwc", is_flag=True, help="Images are channels last. Default: channels first.")
@click.option(
    "--with-preprocessing", "preprocessing", is_flag=True, help="Take uint8 images, and return probabilities."
)
@click.option("--int8", is_flag=True, help="Compute in int8, with scales from images of the training.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(
    *,
    model: Path | None,
    weights: str | None,
    output: Path,
    name: str | None,
    no_fold: bool,
    nhwc: bool,
    preprocessing: bool,
    int8: bool,
    force: bool,
) -> None:
    """Write the file, and print its size."""
    found = format_of(output, name)
    options = ExportOptions(not no_fold, nhwc, preprocessing, int8)
    paths, told = export_model(Model(find_target(model, weights)), output, name, options, force=force)
    files = [file for path in paths for file in (path.iterdir() if path.is_dir() else [path])]
    size = sum(file.stat().st_size for file in files if file.is_file())
    echo_lines([f"{', '.join(map(str, paths))}: {found.title}, {size / 1e6:.2f} MB", *told])
