"""Drawings of figures: what is where, from the numbers that went in."""

from itertools import pairwise
from math import nan

import pytest
from PIL import Image

from cnncli.report.pictures.draw import draw
from cnncli.report.pictures.drawing import Circle, Drawing, Group, Item, Label, Path, Raster, Rect, beside, text_width
from cnncli.report.pictures.figures import Bar, BarChart, Figure, Heatmap, LineChart, Mark, Series, Sheet, Tile


def items(figure: Figure | Drawing, kind: type[Item]) -> list[Item]:
    drawing = figure if isinstance(figure, Drawing) else draw(figure)
    return [item for item in flat(drawing.items) if isinstance(item, kind)]


def flat(found: list[Item], x: float = 0, y: float = 0) -> list[Item]:
    out: list[Item] = []
    for item in found:
        out += flat(item.items, x + item.x, y + item.y) if isinstance(item, Group) else [item]
    return out


def lines_of(chart: LineChart, role: str) -> list[Path]:
    """The lines of a series, without the sample in the legend."""
    return [path for path in items(chart, Path) if path.stroke == role and len(path.points) > 1][1:]


def chart(y: list[float], **options: object) -> LineChart:
    return LineChart("t", "epoch", "loss", [Series("s", list(range(1, len(y) + 1)), y, marker=True)], **options)


def test_a_line_is_where_its_numbers_are() -> None:
    figure = chart([0.0, 1.0, 0.5], y_bounds=(0.0, 1.0))
    (line,) = lines_of(figure, "series-1")
    (x1, y1), (x2, y2), (x3, y3) = line.points
    assert x2 - x1 == pytest.approx(x3 - x2)
    assert y1 > y3 > y2, "y grows downwards"
    assert y3 == pytest.approx((y1 + y2) / 2)
    assert [dot.tip for dot in items(figure, Circle)] == ["s: 0 (epoch 1)", "s: 1 (epoch 2)", "s: 0.5 (epoch 3)"]


def test_what_is_not_finite_interrupts_a_line() -> None:
    parts = lines_of(chart([1.0, 2.0, nan, 3.0, 4.0, nan, 5.0]), "series-1")
    assert [len(part.points) for part in parts] == [2, 2]
    assert len(items(chart([nan, nan]), Circle)) == 0
    assert lines_of(chart([]), "series-1") == []


def test_the_axes_of_a_chart_tell_where_its_points_are() -> None:
    figure = chart([0.25, 1.0, 0.5])
    (line,) = lines_of(figure, "series-1")
    axes = draw(figure).axes
    assert axes is not None
    for point, x, y in zip(line.points, (1, 2, 3), (0.25, 1.0, 0.5), strict=True):
        assert point == pytest.approx((axes[0].at(x), axes[1].at(y)))


def test_points_that_nobody_can_tell_apart_are_one() -> None:
    count = 20_000
    x = [place / count for place in range(count + 1)]
    (line,) = lines_of(LineChart("t", "x", "y", [Series("s", x, [place**2 for place in x])]), "series-1")
    assert len(line.points) < 3_000
    (left, bottom), (right, top) = line.points[0], line.points[-1]
    for place, height in line.points:
        share = (place - left) / (right - left)
        assert (bottom - height) / (bottom - top) == pytest.approx(share**2, abs=1e-9)


def test_a_narrow_chart_wraps_its_note_and_stays_within_its_width() -> None:
    figure = chart([1.0, 2.0], width=300.0, note="a note of some ten words that has no room in one line")
    assert draw(figure).width == 300
    assert all(0 <= x <= 300 for path in items(figure, Path) for x, _ in path.points)
    notes = [label.text for label in items(figure, Label) if label.text in figure.note and len(label.text) > 5]
    assert len(notes) > 1
    assert " ".join(notes) == figure.note


def test_a_logarithmic_axis_has_equal_steps_for_equal_factors() -> None:
    (line,) = lines_of(chart([1.0, 0.1, 0.01], y_log=True), "series-1")
    (_, y1), (_, y2), (_, y3) = line.points
    assert y2 - y1 == pytest.approx(y3 - y2)


def test_a_mark_is_at_its_point() -> None:
    figure = chart([3.0, 1.0, 2.0], marks=[Mark(2, 1.0, "best epoch 2")])
    (line,) = lines_of(figure, "series-1")
    ring = next(circle for circle in items(figure, Circle) if circle.stroke)
    assert (ring.x, ring.y) == pytest.approx(line.points[1])
    assert any(label.text == "best epoch 2" for label in items(figure, Label))


def test_bars_stand_on_the_axis_and_have_their_heights() -> None:
    bars = [Bar(0.0, 0.5, 0.25, "a"), Bar(0.5, 1.0, 1.0, "b")]
    first, second = items(BarChart("t", "x", "y", bars, y_bounds=(0, 1)), Rect)
    assert first.y + first.height == pytest.approx(second.y + second.height)
    assert second.height == pytest.approx(4 * first.height)
    assert (first.tip, second.tip) == ("a", "b")


def test_cells_of_a_matrix_are_shaded_tipped_and_linked() -> None:
    names = ["cat", "dog"]
    figure = Heatmap("t", "true", "predicted", names, names, [[1.0, 0.0], [0.25, 0.75]], [["4", ""], ["1", "3"]])
    figure.links[1, 0] = "#wrong"
    (linked,) = [item for item in draw(figure).items if isinstance(item, Group)]
    assert (linked.link, linked.name) == ("#wrong", "dog → cat: 1")
    first, inside, last = (rect for rect in items(figure, Rect) if rect.fill)
    assert [(cell.opacity, cell.tip) for cell in (first, inside, last)] == [
        (1.0, "cat → cat: 4"),
        (0.5, "dog → cat: 1"),
        (pytest.approx(0.75**0.5), "dog → dog: 3"),
    ]
    assert inside.x == first.x
    assert inside.y == last.y > first.y
    assert {"cat", "dog", "4", "1", "3"} <= {label.text for label in items(figure, Label)}


def test_a_large_matrix_is_one_image_with_a_pixel_for_each_cell() -> None:
    shares = [[1.0 if i == j else 0.0 for j in range(1000)] for i in range(1000)]
    names = [str(number) for number in range(1000)]
    drawing = draw(Heatmap("t", "true", "predicted", names, names, shares))
    (raster,) = items(drawing, Raster)
    assert raster.image.size == (1000, 1000)
    pixels = raster.image.convert("RGBA")
    assert (pixels.getpixel((3, 3))[3], pixels.getpixel((3, 4))[3]) == (255, 0), "paper is seen where there is nothing"
    named = [label for label in items(drawing, Label) if label.text.isdigit()]
    assert {label.text for label in named} == {str(number) for number in range(0, 1000, 10)}
    down = sorted(label.y for label in named if label.anchor == "end")
    assert min(below - above for above, below in pairwise(down)) >= 11, "names have room"


def test_the_images_of_a_sheet_are_in_rows_and_keep_their_shape() -> None:
    wide, high = Image.new("L", (40, 20)), Image.new("L", (20, 40))
    tiles = [Tile(image, ("a", "b"), wrong=True, tip="file.png") for image in (wide, high, wide)]
    figure = Sheet("t", tiles, 2, size=80)
    first, second, third = items(figure, Raster)
    assert (first.width, first.height, second.width, second.height) == (80, 40, 40, 80)
    assert first.y == second.y < third.y
    assert third.x == first.x < second.x
    reds = [label.text for label in items(figure, Label) if label.role == "bad"]
    assert reds == ["b"] * 3


@pytest.mark.parametrize("name", ["x" * 300, "漢字の名前", "<b>&amp;", "", "Mädchen mit Hut und Mantel"])
def test_long_and_odd_names_stay_within_the_drawing(name: str) -> None:
    names = [name, f"{name}2"]
    for figure in (
        Heatmap(name[:40], "true", "predicted", names, names, [[1.0, 0.0], [0.0, 1.0]]),
        Sheet(name[:40], [Tile(Image.new("L", (28, 28)), names)], 4),
        LineChart(name[:40], "x", "y", [Series(name, [0, 1], [0, 1]), Series("b", [0, 1], [1, 0], 1)]),
    ):
        drawing = draw(figure)
        for item in items(drawing, Raster) + items(drawing, Rect):
            assert 0 <= item.x <= item.x + item.width <= drawing.width + 0.01
            assert 0 <= item.y <= item.y + item.height <= drawing.height + 0.01
        for label in items(drawing, Label):
            assert -1 <= label.x <= drawing.width
            assert 0 <= label.y <= drawing.height


def test_long_titles_stay_within_a_chart() -> None:
    figure = LineChart("loss" * 100, "x", "loss" * 100, [Series("a", [0, 1], [0, 1])])
    title, *others = items(figure, Label)
    assert title.x + text_width(title.text, title.size, bold=True) <= draw(figure).width
    (y_label,) = (label for label in others if label.angle)
    assert text_width(y_label.text, y_label.size) <= 2 * y_label.y


def test_drawings_beside_each_other_do_not_overlap() -> None:
    parts = [Drawing(100, 50, []), Drawing(60, 80, []), Drawing(70, 20, [])]
    whole = beside(parts, 2)
    places = [(group.x, group.y, part.width, part.height) for group, part in zip(whole.items, parts, strict=True)]
    assert places[0][0] + 100 < places[1][0]
    assert places[2][1] > 80
    assert whole.width == pytest.approx(100 + 24 + 60)
    assert whole.height == pytest.approx(80 + 24 + 20)
    assert all(a[:2] != b[:2] for a, b in pairwise(places))
