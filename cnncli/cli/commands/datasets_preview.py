"""`cnncli datasets preview`: draw training images before and after augmentation."""

from io import BytesIO
from pathlib import Path

import click

from cnncli.api.data import augmented_images
from cnncli.cli.downloads import offline_option
from cnncli.cli.options import Integer, example
from cnncli.errors import UsageError
from cnncli.report.terminal.output import echo
from cnncli.report.terminal.progress import Status
from cnncli.spec.spec import load
from cnncli.system import atomic


@click.command("preview", epilog=example("cnncli datasets preview mnist.yaml -o sheet.png"))
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("preview.png"),
    show_default=True,
    help="PNG file to write.",
)
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Change a value of the spec. Repeatable.")
@click.option("--images", type=Integer(1, 64), default=8, show_default=True, help="Number of images, side by side.")
@click.option("--draws", type=Integer(1, 64), default=4, show_default=True, help="Augmented versions of each.")
@offline_option
def command(*, spec: Path, output: Path, overrides: tuple[str, ...], images: int, draws: int, offline: bool) -> None:
    """Draw training images of SPEC before and after augmentation.

    The first row of the PNG shows the images unchanged, the rows below augmented.
    """
    loaded = load(spec, overrides)
    if not loaded.data.augment:
        raise UsageError(f"{spec}: there is nothing to compare: `augment` under `data` lists no augmentation")
    if output.suffix.lower() != ".png":
        raise UsageError(f"-o must name a .png file; received {output}")
    with Status() as status:
        rows = augmented_images(loaded, status, images=images, draws=draws, offline=offline)
    from cnncli.datasets.inspect import preview

    drawn = BytesIO()
    preview.sheet(rows).save(drawn, "png")
    atomic.write(output, drawn.getvalue())
    shown = rows.shape[1]
    echo(f"{output}  {shown} training images as they are, and in {draws} rows as {draws} batches see them")
