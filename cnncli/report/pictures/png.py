"""Drawings as PNG, through Pillow."""

from collections.abc import Iterator, Sequence
from functools import singledispatchmethod
from io import BytesIO
from itertools import pairwise
from math import ceil, hypot

from PIL import Image, ImageDraw

from cnncli.errors import UsageError
from cnncli.escaping import one_line
from cnncli.report.pictures import theme
from cnncli.report.pictures.drawing import Circle, Drawing, Group, Item, Label, Path, Point, Raster, Rect
from cnncli.report.pictures.typeface import face

FINE = 3
"""Each pixel is painted as FINE × FINE ones, whose mean it is."""
MOST_PIXELS = 40_000_000
PER_CURVE = 24
"""Straight lines that stand for a Bézier curve."""
DASH, GAP = 5.0, 3.0


def png(drawing: Drawing, *, scale: float = 2.0, dark: bool = False) -> bytes:
    """The drawing as a PNG file, with `scale` pixels for each of its own.

    Raises UsageError if that are more pixels than viewers open.
    """
    width, height = ceil(drawing.width * scale), ceil(drawing.height * scale)
    if width * height > MOST_PIXELS:
        raise UsageError(
            f"a PNG of {width:,} × {height:,} pixels is too large: choose a lower --dpi, or .svg, which has no limit"
        )
    fine = FINE if width * height * FINE**2 <= MOST_PIXELS * 2 else 1
    painter = _Painter(width * fine, height * fine, scale * fine, dark=dark)
    painter.paint(drawing.items, 0, 0)
    image = painter.image.reduce(fine) if fine > 1 else painter.image
    content = BytesIO()
    dots = round(96 * scale)
    image.save(content, "png", dpi=(dots, dots))
    return content.getvalue()


class _Painter:
    """Paints items on an image of `scale` pixels to each of the drawing's."""

    def __init__(self, width: int, height: int, scale: float, *, dark: bool) -> None:
        self.scale, self.dark = scale, dark
        self.image = Image.new("RGB", (width, height), theme.rgb("paper", dark=dark))
        self.draw = ImageDraw.Draw(self.image)

    def paint(self, items: Sequence[Item], x: float, y: float) -> None:
        """Paint items moved by (x, y)."""
        for item in items:
            self.one(item, x, y)

    @singledispatchmethod
    def one(self, item: Item, x: float, y: float) -> None:
        """Paint one item moved by (x, y)."""
        raise TypeError(type(item))

    @one.register
    def _(self, item: Group, x: float, y: float) -> None:
        self.paint(item.items, x + item.x, y + item.y)

    @one.register
    def _(self, item: Rect, x: float, y: float) -> None:
        left, top, right, bottom = self._box(x + item.x, y + item.y, item.width, item.height)
        if right <= left or bottom <= top:
            return
        self.draw.rounded_rectangle(
            (left, top, right - 1, bottom - 1),
            round(item.radius * self.scale),
            fill=self._color(item.fill, item.opacity),
            outline=self._color(item.stroke),
            width=max(1, round(self.scale)) if item.stroke else 0,
        )

    @one.register
    def _(self, item: Circle, x: float, y: float) -> None:
        box = self._box(x + item.x - item.radius, y + item.y - item.radius, 2 * item.radius, 2 * item.radius)
        width = max(1, round(self.scale)) if item.stroke else 0
        self.draw.ellipse(box, fill=self._color(item.fill), outline=self._color(item.stroke), width=width)

    @one.register
    def _(self, item: Path, x: float, y: float) -> None:
        points = [((x + a) * self.scale, (y + b) * self.scale) for a, b in _straight(item)]
        if item.fill:
            self.draw.polygon(points, fill=self._color(item.fill, item.opacity))
        if item.stroke:
            width, color = max(1, round(item.width * self.scale)), self._color(item.stroke)
            closed = [*points, points[0]] if item.fill else points
            for part in _dashes(closed, DASH * self.scale, GAP * self.scale) if item.dashed else [closed]:
                self.draw.line(part, fill=color, width=width, joint="curve")

    @one.register
    def _(self, item: Label, x: float, y: float) -> None:
        at, color = ((x + item.x) * self.scale, (y + item.y) * self.scale), theme.rgb(item.role, dark=self.dark)
        shape, text = face(one_line(item.text), item.size * self.scale)
        bold = round(item.size * self.scale / 30) if item.bold else 0
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[item.anchor]
        if not item.angle:
            self.draw.text(at, text, color, shape, anchor, stroke_width=bold)
            return
        reach = ceil(shape.getlength(text) + 2 * item.size * self.scale)
        mask = Image.new("L", (2 * reach, 2 * reach))
        ImageDraw.Draw(mask).text((reach, reach), text, 255, shape, anchor, stroke_width=bold)
        turned = mask.rotate(-item.angle, Image.Resampling.BICUBIC)
        self.image.paste(color, (round(at[0]) - reach, round(at[1]) - reach), turned)

    @one.register
    def _(self, item: Raster, x: float, y: float) -> None:
        left, top, right, bottom = self._box(x + item.x, y + item.y, item.width, item.height)
        how = Image.Resampling.BICUBIC if item.smooth else Image.Resampling.NEAREST
        scaled = item.image.convert("RGBA").resize((max(1, right - left), max(1, bottom - top)), how)
        self.image.paste(scaled, (left, top), scaled)

    def _box(self, x: float, y: float, width: float, height: float) -> tuple[int, int, int, int]:
        s = self.scale
        return round(x * s), round(y * s), round((x + width) * s), round((y + height) * s)

    def _color(self, role: str | None, opacity: float = 1.0) -> theme.Color | None:
        return None if role is None else theme.rgb(role, dark=self.dark, opacity=opacity)


def _straight(path: Path) -> Sequence[Point]:
    """The points of a path without curves."""
    if not path.curved:
        return path.points
    found = [path.points[0]]
    for start in range(0, len(path.points) - 3, 3):
        a, b, c, d = path.points[start : start + 4]
        for step in range(1, PER_CURVE + 1):
            t = step / PER_CURVE
            s = 1 - t
            weights = s**3, 3 * s * s * t, 3 * s * t * t, t**3
            x, y = (sum(w * p[axis] for w, p in zip(weights, (a, b, c, d), strict=True)) for axis in (0, 1))
            found.append((x, y))
    return found


def _dashes(points: Sequence[Point], dash: float, gap: float) -> Iterator[list[Point]]:
    """The dashes of a line."""
    left, drawn = dash, True
    part = [points[0]]
    for start, end in pairwise(points):
        length, done = hypot(end[0] - start[0], end[1] - start[1]), 0.0
        while length - done > left:
            done += left
            share = done / length
            at = start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])
            if drawn:
                yield [*part, at]
            drawn, part = not drawn, [at]
            left = dash if drawn else gap
        left -= length - done
        part.append(end)
    if drawn and len(part) > 1:
        yield part
