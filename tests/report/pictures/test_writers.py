"""SVG and PNG of drawings: well-formed, escaped, in the colors of the theme, at the right places."""

from io import BytesIO
from xml.etree import ElementTree

import pytest
from PIL import Image

from cnncli import notices
from cnncli.errors import UsageError
from cnncli.report.pictures import theme, typeface
from cnncli.report.pictures.drawing import (
    Circle,
    Drawing,
    Group,
    Item,
    Label,
    Path,
    Raster,
    Rect,
    shortened,
    text_width,
)
from cnncli.report.pictures.png import png
from cnncli.report.pictures.svg import svg

SVG = "{http://www.w3.org/2000/svg}"
NASTY = '<script>alert(1)</script> & "it\'s" \x1b[31m \u202e\ufffe ]]>'


def pixels(drawing: Drawing, *, scale: float = 1.0, dark: bool = False) -> Image.Image:
    return Image.open(BytesIO(png(drawing, scale=scale, dark=dark))).convert("RGB")


def test_any_text_gives_wellformed_xml_without_elements_of_its_own() -> None:
    items: list[Item] = [
        Label(10, 10, NASTY, tip=NASTY, link=f"#{NASTY}"),
        Rect(0, 0, 5, 5, "accent", tip=NASTY),
        Circle(5, 5, 2, "bad", tip=NASTY),
        Path([(0, 0), (5, 5)], "ink", tip=NASTY),
        Raster(0, 0, 4, 4, Image.new("L", (2, 2)), tip=NASTY),
    ]
    root = ElementTree.fromstring(svg(Drawing(100, 50, items, NASTY, NASTY)))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        *("svg", "title", "desc", "style", "rect", "circle", "path", "image", "text", "a"),
    }
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert '<script>alert(1)</script> & "it\'s"' in "".join("".join(e.itertext()) for e in root.iter(f"{SVG}text"))
    assert texts
    assert "\x1b" not in svg(Drawing(1, 1, items, NASTY))


def test_a_group_is_one_link_with_a_name_and_what_has_links_is_no_image() -> None:
    shapes = [Rect(0, 0, 5, 5, "accent"), Label(1, 4, "7")]
    root = ElementTree.fromstring(svg(Drawing(9, 9, [Group(0, 0, shapes, "#there", NASTY)])))
    (link,) = root.iter(f"{SVG}a")
    assert link.get("href") == "#there"
    assert "<script>alert(1)</script>" in link.get("aria-label", "")
    assert [element.tag for element in next(iter(link))] == [f"{SVG}rect", f"{SVG}text"]
    assert root.get("role") == "group"
    assert ElementTree.fromstring(svg(Drawing(9, 9, shapes))).get("role") == "img"


def test_a_page_has_the_colors_of_its_drawings_light_and_dark() -> None:
    text = theme.variables()
    light, dark = text.split("@media screen and (prefers-color-scheme:dark)")
    for role, shade in theme.ROLES.items():
        assert f"--{role}:{shade.light};" in light
        assert f"--{role}:{shade.dark};" in dark


def test_a_drawing_of_a_page_has_no_colors_of_its_own() -> None:
    drawing = Drawing(9, 9, [Rect(0, 0, 5, 5, "accent")])
    assert "<style>" in svg(drawing)
    assert "<style>" not in svg(drawing, styled=False)


@pytest.mark.parametrize("dark", [False, True])
def test_shapes_have_their_places_and_colors(*, dark: bool) -> None:
    gray = Image.new("L", (2, 1))
    gray.putpixel((0, 0), 200)
    items: list[Item] = [
        Group(10, 20, [Rect(0, 0, 10, 10, "accent"), Rect(20, 0, 10, 10, "bad", opacity=0.5)]),
        Path([(60, 25), (90, 25)], "good", 6),
        Circle(110, 25, 8, "ink"),
        Raster(130, 20, 20, 10, gray),
    ]
    image = pixels(Drawing(160, 40, items), scale=2, dark=dark)
    assert image.size == (320, 80)
    seen = {x: image.getpixel((2 * x, 50)) for x in (2, 15, 35, 75, 110, 135, 145)}
    half = tuple(
        round((a + b) / 2) for a, b in zip(theme.rgb("bad", dark=dark), theme.rgb("paper", dark=dark), strict=True)
    )
    assert seen == {
        2: theme.rgb("paper", dark=dark),
        15: theme.rgb("accent", dark=dark),
        35: half,
        75: theme.rgb("good", dark=dark),
        110: theme.rgb("ink", dark=dark),
        135: (200, 200, 200),
        145: (0, 0, 0),
    }


def test_dashes_leave_gaps_of_the_length_that_svg_has() -> None:
    image = pixels(Drawing(100, 10, [Path([(0, 5), (40, 5), (100, 5)], "ink", 3, dashed=True)]), scale=4)
    dark = [image.getpixel((x, 20)) == theme.rgb("ink") for x in range(400)]
    assert sum(dark) / 400 == pytest.approx(5 / 8, abs=0.03)
    assert [dark[4 * x] for x in (2, 6, 10, 14, 42, 46)] == [True, False, True, False, True, False]


def test_a_curve_ends_where_it_should_and_bends() -> None:
    curve = Path([(10, 10), (10, 50), (90, 50), (90, 10)], "ink", 3, curved=True)
    image = pixels(Drawing(100, 60, [curve]))
    assert image.getpixel((50, 40)) == theme.rgb("ink"), "the middle of this curve is (50, 40)"
    assert image.getpixel((50, 10)) == theme.rgb("paper")


def test_turned_text_runs_upwards() -> None:
    image = pixels(Drawing(60, 100, [Label(30, 90, "IIIIIIII", 20, angle=-90)]), scale=2)
    box = image.convert("L").point(lambda value: 255 * (value < 128)).getbbox()
    assert box is not None
    left, top, right, bottom = (edge / 2 for edge in box)
    assert bottom - top > 2 * (right - left)
    assert bottom <= 91
    assert right <= 31


def test_too_many_pixels_are_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"choose a lower --dpi, or \.svg"):
        png(Drawing(10_000, 10_000, []), scale=4)


def test_texts_are_cut_to_the_width_they_have() -> None:
    assert shortened("short", 100) == "short"
    cut = shortened("a very long name of a class indeed", 80)
    assert cut.endswith("…")
    assert text_width(cut) <= 80 < text_width("a very long name of a class indeed")
    assert text_width("漢字") >= 24


def luminance(color: theme.Color) -> float:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("role", [role for role in theme.ROLES if role not in ("paper", "panel", "grid")])
def test_texts_can_be_read(role: str, *, dark: bool) -> None:
    low, high = sorted(luminance(theme.rgb(name, dark=dark)) for name in (role, "paper"))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_letters_that_the_embedded_typeface_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a typeface of the system they are drawn; without one, what comes near, with a warning."""
    told: list[str] = []
    monkeypatch.setattr(notices, "show", told.append)
    drawn = Drawing(80, 20, [Label(4, 14, "Mädchen × 3…")])
    near = Drawing(80, 20, [Label(4, 14, "Madchen x 3...")])
    monkeypatch.setattr(typeface, "_installed", tuple)
    assert png(drawn) == png(near)
    assert told == ["no installed typeface has all letters of this picture; as .svg it shows them"]
    monkeypatch.undo()
    if typeface._installed():
        assert png(drawn) != png(near)
