"""`cnncli datasets check`: validate a data source and report its contents."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnncli.api.plots import drawn
from cnncli.cli.options import Integer, example, json_option, label_from_option, layout_option
from cnncli.datasets.describe import find
from cnncli.datasets.layouts.recognize import name_within
from cnncli.datasets.section import LARGEST_SIDE, DataSection, LayoutName, Targets
from cnncli.errors import CnncliError, UsageError
from cnncli.report.pictures.save import suffix_of
from cnncli.report.tables.inspection import inspection_lines
from cnncli.report.terminal.output import echo, echo_json, echo_lines

if TYPE_CHECKING:
    from cnncli.datasets.inspect.inspection import Inspection


@click.command("check", epilog=example("cnncli datasets check photos/"))
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--unlabelled", is_flag=True, help="Images without classes, as with `targets: input`.")
@click.option("--masks", is_flag=True, help="Images with masks, as with `targets: masks`. Default: recognized.")
@click.option(
    "--image-size",
    nargs=2,
    metavar="HEIGHT WIDTH",
    type=Integer(1, LARGEST_SIDE),
    help="Compare the pixels of image files at this size, as a model with this `image_size` sees them.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Contact sheet to write, .svg or .png.")
@layout_option
@label_from_option
@json_option
def command(
    *,
    source: Path,
    unlabelled: bool,
    masks: bool,
    image_size: tuple[int, int] | None,
    output: Path | None,
    layout: LayoutName,
    label_from: str | None,
    as_json: bool,
) -> int:
    """Check SOURCE: report its contents and every problem.

    It is a folder of images, a file or folder of arrays, or a known name. Every image is read: classes, counts, sizes,
    values, duplicates and near-duplicates, also across splits, and each file or cell that can't be used. Exit code 1
    where there is one.

    With -o a picture shows images of each class, and those that are the same or nearly so.
    """
    if unlabelled and masks:
        raise UsageError("images have masks or they have no labels: give one of --masks and --unlabelled")
    if output is not None:
        suffix_of(output)
    targets: Targets | None = "masks" if masks else "input" if unlabelled else None
    data = DataSection(dataset=str(source), targets=targets or "labels", layout=layout, label_from=label_from)
    found = _inspected(source, data, image_size, recognize=not targets and layout == "auto" and not label_from)
    if as_json:
        echo_json(found.document())
    else:
        echo_lines(inspection_lines(found))
    if output is not None:
        if not found.images:
            raise CnncliError(f"{found.source}: there are no images to draw")
        from cnncli.report.plots.contact import contact_sheets

        drawn(found.source, contact_sheets(found), columns=1, gap=0).save(output)
        if not as_json:
            echo(f"contact sheet: {output}")
    return 1 if found.problems else 0


def _inspected(source: Path, data: DataSection, image_size: tuple[int, int] | None, *, recognize: bool) -> "Inspection":
    """Inspect a source. `recognize`: whether its targets are masks."""
    from cnncli.datasets.inspect.inspect_arrays import inspect_arrays
    from cnncli.datasets.inspect.inspect_folder import inspect_folder
    from cnncli.datasets.inspect.recognize_masks import recognize_masks

    if recognize and recognize_masks(find(data, Path()), data):
        data = data.replace(targets="masks")
    place = find(data, Path())
    if place.kind == "folder":
        return inspect_folder(place, name_within(str(source), place), image_size)
    if image_size is not None:
        raise UsageError(f"--image-size is for folders of images; {source} is not one")
    from cnncli.datasets.load import load

    return inspect_arrays(load(data, Path(), input_shape=()))
