"""Layouts: numbers to predict."""

from pathlib import Path

from tests.layouts import shapes
from tests.layouts.layout import Layout, save, table
from tests.layouts.shapes import NAMES


def numbers_table(root: Path) -> None:
    rows = []
    for number in range(len(NAMES)):
        for i, (pixels, reach) in enumerate(zip(*shapes.drawn(number, count=40), strict=True)):
            file = f"{NAMES[number]}{i:03}.png"
            save(root / "photos" / file, pixels)
            rows.append((file, f"{reach / 10:.3f}"))
    table(root / "photos/labels.csv", ("file", "radius"), rows)


LAYOUTS = (
    Layout(
        "numbers_table",
        "Numbers to predict",
        "Numbers with fractions, or several columns of numbers, are predicted as such: a regression.",
        numbers_table,
        epochs=40,
        metric="r2_score",
        least=0.6,
    ),
)
