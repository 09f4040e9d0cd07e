"""`cnncli datasets preview`: draw training images, plain and augmented."""

from pathlib import Path

import click

from cnncli.api.data import augmented_images
from cnncli.api.plots import drawn
from cnncli.cli.downloads import offline_option
from cnncli.cli.options import Integer, example, output_option, set_option
from cnncli.report.pictures.save import suffix_of
from cnncli.report.terminal.output import echo
from cnncli.report.terminal.progress import Status
from cnncli.spec.spec import load


@click.command("preview", epilog=example("cnncli datasets preview mnist.yaml -o sheet.png"))
@click.argument("spec", type=click.Path(path_type=Path))
@output_option("Picture to write, .svg or .png.", default=Path("preview.png"), show_default=True)
@set_option
@click.option("--images", type=Integer(1, 64), default=8, show_default=True, help="Number of images, side by side.")
@click.option("--draws", type=Integer(1, 64), default=4, show_default=True, help="Augmented versions of each.")
@offline_option
def command(*, spec: Path, output: Path, overrides: tuple[str, ...], images: int, draws: int, offline: bool) -> None:
    """Draw training images of SPEC before and after augmentation.

    The first row shows the images unchanged, the rows below augmented. Without augmentation the images are all there
    is.
    """
    suffix_of(output)
    loaded = load(spec, overrides)
    with Status() as status:
        rows = augmented_images(loaded, status, images=images, draws=draws, offline=offline)
    from cnncli.report.plots.augmented import augmented

    drawn(loaded.name, [augmented(rows)]).save(output)
    count, more = rows.shape[1], len(rows) - 1
    seen = f", and in {more} row{'s' * (more > 1)} as {more} batch{'es' * (more > 1)} see them"
    echo(f"{output}  {count} training image{'s' * (count > 1)} as they are{seen if more else ''}")
