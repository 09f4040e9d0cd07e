"""What `datasets check` prints about a source."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from cnncli.datasets.problems import few_classes, grouped, listed
from cnncli.escaping import one_line

if TYPE_CHECKING:
    from cnncli.datasets.inspect.inspection import Inspection
    from cnncli.datasets.inspect.value_stats import ValueStats

MOST_SIZES = 5
MOST_NAMES = 4
"""Images of a group that are named."""
MANY, MANY_IMAGES = 0.1, 10
"""Share and number of images with near-duplicates beyond which a source seems to be made of series."""

KEEP = "keep all images of a series or an object in one split"
DIVIDE = (
    "divide them into train and val yourself, with all images of a series or an object in one of them, or tell by "
    "`group_by` under `data` which are of one"
)


def inspection_lines(found: "Inspection") -> Iterator[str]:
    """Contents, duplicates and problems of a source."""
    classes = f", {len(found.classes):,} classes" if found.classes else ", no classes"
    kind = " with masks" if found.mask_pixels else " with numbers" if found.numbers else classes
    yield f"{found.source}: {found.images:,} images{kind}"
    yield from (f"  {one_line(note)}" for note in found.notes)
    for split, counts in found.counts.items():
        shown = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        yield f"  {split}: {shown or f'{found.size(split):,}'}"
    if found.groups:
        yield f"groups: {', '.join(f'{split} {count:,}' for split, count in found.groups.items())}"
    yield from _contents(found)
    yield from _alike(found)
    yield from _warnings(found)
    yield from _without_class(found)
    if found.problems:
        yield f"problems: {len(found.problems):,}"
        yield from listed(grouped(found.problems, all_of_it=not found.images))


def _contents(found: "Inspection") -> Iterator[str]:
    sizes = [f"{height} × {width} ({count:,})" for (height, width), count in found.sizes.items()]
    if sizes:
        more = f" and {len(sizes) - MOST_SIZES:,} more" if len(sizes) > MOST_SIZES else ""
        yield f"sizes (height × width): {', '.join(sizes[:MOST_SIZES])}{more}"
    if found.ranges:
        ranges = [f"{split} {low:g} to {high:g}" for split, (low, high) in found.ranges.items()]
        yield f"values: {', '.join(ranges)}"
    if found.numbers:
        yield "numbers:"
        yield from (f"  {one_line(name)}: {_stats(stats)}" for name, stats in found.numbers.items())
    if found.mask_pixels:
        yield "classes of pixels:"
        yield from (f"  {split}: {_shares(counts)}" for split, counts in found.mask_pixels.items())
    if found.palette:
        yield f"masks are in colors: where these are classes, write under `data` `palette: {found.palette}`"


def _stats(stats: "ValueStats") -> str:
    if stats.least == stats.greatest:
        return f"{stats.least:g} of all images: there is nothing to predict"
    quartiles = ", ".join(f"{value:g}" for value in stats.quartiles)
    return f"{stats.least:g} to {stats.greatest:g}, mean {stats.mean:g}, quartiles {quartiles}"


def _shares(counts: Mapping[int, int]) -> str:
    total = max(1, sum(counts.values()))
    return ", ".join(f"{number} {100 * count / total:.3g} %" for number, count in counts.items())


def _alike(found: "Inspection") -> Iterator[str]:
    at = " at {} × {}".format(*found.image_size) if found.image_size else ""
    for what, groups, sign in (
        ("with the same bytes", found.alike.same_bytes, "="),
        (f"with the same pixels{at}, in different files", found.alike.same_pixels, "="),
        ("that differ only in size", found.alike.resized, "≈"),
        ("that are nearly the same", found.alike.near, "≈"),
    ):
        if groups:
            crossing = sum(map(found.crosses, groups))
            yield f"images {what}: {len(groups):,}, {crossing:,} of them in several splits"
            yield from listed([_named(group, sign) for group in sorted(groups, key=found.crosses, reverse=True)])


def _without_class(found: "Inspection") -> Iterator[str]:
    """Which of the classes that are trained on other splits lack."""
    trained = {name for name, count in found.counts.get("train", {}).items() if count}
    for split, counts in found.counts.items():
        if lacking := [name for name in counts if name in trained and not counts[name]]:
            yield f"no {split} image shows {few_classes(lacking)}"


def _named(group: Sequence[str], sign: str) -> str:
    more = f" and {len(group) - MOST_NAMES:,} more" if len(group) > MOST_NAMES else ""
    return f" {sign} ".join(group[:MOST_NAMES]) + more


def _warnings(found: "Inspection") -> Iterator[str]:
    kept = found.grouping
    way = f"`group_by: '{kept.pattern}'` under `data` keeps them together, in {kept.groups:,} groups" if kept else ""
    for split in found.members:
        count, total = found.among(split, "train"), found.size(split)
        if split != "train" and count:
            yield (
                f"{count:,} of {total:,} {split} images ({count / total:.0%}) also appear in train, the same or nearly "
                f"so: metrics on them are too optimistic; {(split in found.divided and way) or KEEP}"
            )
        elif (
            split == "train"
            and "validation" not in found.members
            and not found.groups
            and count > max(MANY * total, MANY_IMAGES)
        ):
            yield (
                f"{count:,} of {total:,} training images ({count / total:.0%}) resemble another one: validation_split "
                f"would put such images into both splits; {way or DIVIDE}"
            )
