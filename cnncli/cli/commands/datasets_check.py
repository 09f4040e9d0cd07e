"""`cnncli datasets check`: validate a data source and report its contents."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnncli.api.plots import drawn
from cnncli.api.targets import find_spec
from cnncli.cli.options import (
    Integer,
    columns_option,
    example,
    json_option,
    label_from_option,
    layout_option,
    output_option,
    set_option,
)
from cnncli.datasets.describe import find
from cnncli.datasets.layouts.recognize import name_within
from cnncli.datasets.section import LARGEST_SIDE, DataSection, LayoutName, TableColumns, Targets
from cnncli.datasets.sources.synthetic import Synthetic
from cnncli.errors import CnncliError, UsageError
from cnncli.graph.model import lower
from cnncli.hints import MODEL_ENDING, SPEC_ENDINGS, is_run
from cnncli.report.pictures.save import suffix_of
from cnncli.report.tables.inspection import inspection_lines
from cnncli.report.terminal.output import echo, echo_json, echo_lines
from cnncli.spec.spec import Spec
from cnncli.spec.spec import load as load_spec

if TYPE_CHECKING:
    from cnncli.datasets.inspect.inspection import Inspection

SETTINGS = {
    "--unlabelled": "data.targets=input",
    "--masks": "data.targets=masks",
    "--image-size": "data.image_size=[HEIGHT,WIDTH]",
    "--layout": "data.layout=NAME",
    "--columns": "data.columns={…}",
    "--label-from": "data.label_from=REGEX",
}
"""What says the same of a spec."""


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
@output_option("Contact sheet to write, .svg or .png.")
@set_option
@layout_option
@columns_option
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
    columns: TableColumns | None,
    overrides: tuple[str, ...],
    label_from: str | None,
    as_json: bool,
) -> int:
    """Check SOURCE: report its contents and every problem.

    It is a folder of images, a file or folder of arrays, or a known name; or a spec or a run, whose data are checked as
    its `data` say, with the splits that they make. Every image is read: classes, counts, sizes, values, duplicates and
    near-duplicates, also across splits, and each file or cell that can't be used. Exit code 1 where there is one.

    With -o a picture shows images of each class, and those that are the same or nearly so.
    """
    if unlabelled and masks:
        raise UsageError("images have masks or they have no labels: give one of --masks and --unlabelled")
    if output is not None:
        suffix_of(output)
    targets: Targets | None = "masks" if masks else "input" if unlabelled else None
    if _is_spec(source):
        given = {"--unlabelled": unlabelled, "--masks": masks, "--image-size": image_size, "--layout": layout != "auto"}
        given |= {"--columns": columns is not None, "--label-from": label_from is not None}
        for option in (name for name, value in given.items() if value):
            raise UsageError(f"{option} is for data without a spec; change the spec with --set {SETTINGS[option]}")
        found = _of_spec(_spec(source, overrides))
    elif overrides:
        raise UsageError(f"--set changes a spec; {source} is not one")
    else:
        data = DataSection(
            dataset=str(source),
            targets=targets or "labels",
            image_size=image_size,
            layout=layout,
            columns=columns,
            label_from=label_from,
        )
        found = _inspected(data, recognize=not (targets or columns or label_from) and layout == "auto")
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


def _inspected(data: DataSection, *, recognize: bool) -> "Inspection":
    """Inspect a source. `recognize`: whether its targets are masks or numbers."""
    from cnncli.datasets.inspect.recognize_masks import recognize_masks
    from cnncli.datasets.inspect.recognize_values import numbers

    if recognize and recognize_masks(find(data, Path()), data):
        data = data.replace(targets="masks")
    place = find(data, Path())
    if recognize and place.kind == "folder" and numbers(data):
        data = data.replace(targets="values")
    if data.image_size is not None and place.kind != "folder":
        raise UsageError(f"--image-size is for folders of images; {data.name} is not one")
    return _looked_through(data, Path(), input_shape=())


def _spec(source: Path, overrides: tuple[str, ...]) -> Spec:
    """The spec of a file, a run or a model file; what is wrong with its data is told by looking through them."""
    if source.suffix in SPEC_ENDINGS and source.is_file():
        return load_spec(source, overrides, check_data=False)
    return find_spec(source, overrides)


def _of_spec(spec: Spec) -> "Inspection":
    """Inspect the data of a spec, as it has them read and divided."""
    return _looked_through(
        spec.data,
        spec.path.parent if spec.path else Path(),
        seed=spec.seed,
        input_shape=spec.model.input_shape,
        outputs=lower(spec.model).output.shape[-1],
        void=spec.compile.loss.void,
    )


def _looked_through(data: DataSection, base: Path, *, seed: int = 0, **model: Any) -> "Inspection":
    from cnncli.datasets.inspect.inspect_arrays import inspect_arrays
    from cnncli.datasets.inspect.inspect_folder import inspect_folder
    from cnncli.datasets.load import load

    place = None if isinstance(data.dataset, Synthetic) else find(data, base)
    if place is not None and place.kind == "folder":
        return inspect_folder(place, name_within(data.name, place), data, seed)
    return inspect_arrays(load(data, base, seed=seed, **model))


def _is_spec(source: Path) -> bool:
    return source.suffix in (*SPEC_ENDINGS, MODEL_ENDING) or is_run(source)
