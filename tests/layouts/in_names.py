"""Layouts: classes and groups in the names of files."""

from pathlib import Path

from tests.layouts import shapes
from tests.layouts.layout import Layout, random, save
from tests.layouts.shapes import NAMES


def classes_in_names(root: Path) -> None:
    for number, name in enumerate(NAMES):
        for i, pixels in enumerate(shapes.drawn(number)[0]):
            save(root / f"photos/{name}.{i}.jpg", pixels)


def tracks(root: Path) -> None:
    """Ten tracks of each class, of three frames that differ by noise."""
    generator = random()
    for number, name in enumerate(NAMES):
        for i, pixels in enumerate(shapes.drawn(number, count=10)[0]):
            for frame in range(3):
                noise = generator.integers(-4, 5, pixels.shape)
                save(root / f"photos/{name}/{i:02}_{frame}.png", (pixels + noise).clip(0, 255).astype("uint8"))


LAYOUTS = (
    Layout(
        "classes_in_names",
        "The class in the name",
        "`init` finds the pattern, and writes it as `label_from`: the class is what its parentheses match.",
        classes_in_names,
    ),
    Layout(
        "tracks",
        "Images that belong together",
        "Frames of a track, or images of a patient, must be in one split. `init` can't know them: add `group_by`, here "
        "the name up to the last `_`, to the spec.",
        tracks,
        keys={"group_by": r"(.*)_\d+"},
    ),
)
