"""`cnncli datasets check`: validate a data source and report its contents."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnncli.cli.options import example, layout_option
from cnncli.datasets.describe import find
from cnncli.datasets.layouts.recognize import name_within
from cnncli.datasets.problems import listed
from cnncli.datasets.section import DataSection, LayoutName, Targets
from cnncli.errors import UsageError
from cnncli.escaping import one_line
from cnncli.report.terminal.output import echo_json, echo_lines

if TYPE_CHECKING:
    from cnncli.datasets.inspect.inspection import Inspection

MOST_SIZES = 5


@click.command("check", epilog=example("cnncli datasets check photos/"))
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--unlabelled", is_flag=True, help="Images without classes, as with `targets: input`.")
@click.option("--masks", is_flag=True, help="Images with masks, as with `targets: masks`.")
@layout_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(source: Path, *, unlabelled: bool, masks: bool, layout: LayoutName, as_json: bool) -> int:
    """Check SOURCE: report its contents and every problem.

    It is a folder of images, a file or folder of arrays, or a known name. Every image is read: classes, counts, sizes,
    values, duplicates, also across splits, and each file or cell that can't be used. Exit code 1 where there is one.
    """
    if unlabelled and masks:
        raise UsageError("images have masks or they have no labels: give one of --masks and --unlabelled")
    targets: Targets = "masks" if masks else "input" if unlabelled else "labels"
    from cnncli.datasets.inspect import inspection

    place = find(str(source), Path(), targets, layout)
    if place.kind == "folder":
        found = inspection.inspect(place, name_within(str(source), place))
    else:
        from cnncli.datasets.load import load

        data = DataSection(dataset=str(source), targets=targets)
        found = inspection.inspect_arrays(load(data, Path(), input_shape=()))
    if as_json:
        echo_json(found.document())
    else:
        echo_lines(_lines(found))
    return 1 if found.problems else 0


def _lines(found: "Inspection") -> Iterator[str]:
    classes = f", {len(found.classes):,} classes" if found.classes else ""
    yield f"{found.source}: {found.images:,} images{classes}"
    yield from (f"  {one_line(note)}" for note in found.notes)
    for split, counts in found.counts.items():
        yield f"  {split}: {', '.join(f'{name} {count:,}' for name, count in counts.items()) or 'no classes'}"
    sizes = [f"{height} × {width} ({count:,})" for (height, width), count in found.sizes.items()]
    if sizes:
        more = f" and {len(sizes) - MOST_SIZES:,} more" if len(sizes) > MOST_SIZES else ""
        yield f"sizes (height × width): {', '.join(sizes[:MOST_SIZES])}{more}"
    if found.ranges:
        ranges = [f"{split} {low:g} to {high:g}" for split, (low, high) in found.ranges.items()]
        yield f"values: {', '.join(ranges)}"
    if found.duplicates:
        crossing = sum(found.crosses(group) for group in found.duplicates)
        yield f"images with the same bytes: {len(found.duplicates):,}, {crossing:,} of them in several splits"
        yield from listed([" = ".join(group) for group in sorted(found.duplicates, key=found.crosses, reverse=True)])
    if found.problems:
        yield f"problems: {len(found.problems):,}"
        yield from listed(found.problems)
