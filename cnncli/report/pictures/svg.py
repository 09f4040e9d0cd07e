"""Drawings as SVG: light and dark in one file, without scripts, fonts or requests."""

import base64
from collections.abc import Iterator
from functools import singledispatch
from io import BytesIO
from xml.sax.saxutils import escape, quoteattr

from cnncli.escaping import printable
from cnncli.report.pictures import theme
from cnncli.report.pictures.drawing import Circle, Drawing, Group, Item, Label, Path, Raster, Rect


def svg(drawing: Drawing, *, styled: bool = True) -> str:
    """The drawing as an SVG element. With `styled` it carries its colors; else the page has `theme.css`."""
    style = f"<style>{theme.css(drawing.roles())}</style>" if styled else ""
    paper = _element(Rect(0, 0, drawing.width, drawing.height, "paper")) if styled else ""
    about = f"<title>{_text(drawing.title)}</title>" if drawing.title else ""
    if drawing.description:
        about += f"<desc>{_text(drawing.description)}</desc>"
    size = f'width="{_n(drawing.width)}" height="{_n(drawing.height)}"'
    box = f'viewBox="0 0 {_n(drawing.width)} {_n(drawing.height)}"'
    label = f" aria-label={_quoted(drawing.title)}" if drawing.title else ""
    body = "\n".join(map(_element, drawing.items))
    role = "group" if "<a " in body else "img"  # what is in an image can't be reached with the keyboard
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} role="{role}"{label}>'
        f"{about}{style}{paper}\n{body}\n</svg>\n"
    )


@singledispatch
def _element(item: Item) -> str:
    raise TypeError(type(item))


@_element.register
def _(item: Group) -> str:
    inside = "\n".join(map(_element, item.items))
    moved = f' transform="translate({_n(item.x)} {_n(item.y)})"' if item.x or item.y else ""
    return _linked(f"<g{moved}>\n{inside}\n</g>", item.link, item.name)


@_element.register
def _(item: Rect) -> str:
    radius = f' rx="{_n(item.radius)}"' if item.radius else ""
    place = f'x="{_n(item.x)}" y="{_n(item.y)}" width="{_n(item.width)}" height="{_n(item.height)}"{radius}'
    return _wrapped("rect", f"{place} {_painted(item.fill, item.stroke, item.opacity)}", item.tip, item.link)


@_element.register
def _(item: Path) -> str:
    dash = ' stroke-dasharray="5 3"' if item.dashed else ""
    painted = _painted(item.fill, item.stroke, item.opacity)
    line = f' stroke-width="{_n(item.width)}" stroke-linejoin="round"{dash}' if item.stroke else ""
    return _wrapped("path", f'd="{"".join(_moves(item))}" {painted}{line}', item.tip)


@_element.register
def _(item: Circle) -> str:
    place = f'cx="{_n(item.x)}" cy="{_n(item.y)}" r="{_n(item.radius)}"'
    return _wrapped("circle", f"{place} {_painted(item.fill, item.stroke)}", item.tip)


@_element.register
def _(item: Label) -> str:
    weight = ' font-weight="bold"' if item.bold else ""
    turned = f' transform="rotate({_n(item.angle)} {_n(item.x)} {_n(item.y)})"' if item.angle else ""
    anchor = f' text-anchor="{item.anchor}"' if item.anchor != "start" else ""
    place = f'x="{_n(item.x)}" y="{_n(item.y)}" font-size="{_n(item.size)}"'
    attributes = f'{place} class="f-{item.role}"{anchor}{weight}{turned}'
    return _linked(f"<text {attributes}>{_tip(item.tip)}{_text(item.text)}</text>", item.link)


@_element.register
def _(item: Raster) -> str:
    content = BytesIO()
    item.image.save(content, "png")
    data = base64.b64encode(content.getvalue()).decode()
    place = f'x="{_n(item.x)}" y="{_n(item.y)}" width="{_n(item.width)}" height="{_n(item.height)}"'
    look = "" if item.smooth else ' style="image-rendering:pixelated"'
    attributes = f'{place} preserveAspectRatio="none"{look} href="data:image/png;base64,{data}"'
    return _wrapped("image", attributes, item.tip, item.link)


def _wrapped(name: str, attributes: str, tip: str, link: str = "") -> str:
    inside = f"<{name} {attributes}>{_tip(tip)}</{name}>" if tip else f"<{name} {attributes}/>"
    return _linked(inside, link)


def _linked(element: str, link: str, name: str = "") -> str:
    label = f" aria-label={_quoted(name)}" if name else ""
    return f"<a href={_quoted(link)}{label}>{element}</a>" if link else element


def _painted(fill: str | None, stroke: str | None, opacity: float = 1.0) -> str:
    classes = [f"f-{fill}"] if fill else []
    classes += [f"s-{stroke}"] if stroke else []
    named = f'class="{" ".join(classes)}"' if classes else ""
    clear = f' fill-opacity="{opacity:.3g}"' if fill and opacity < 1 else ""
    return f"{named}{clear}" if fill else f'{named} fill="none"'


def _moves(path: Path) -> Iterator[str]:
    for number, (x, y) in enumerate(path.points):
        command = "M" if number == 0 else "L" if not path.curved else "C" if number % 3 == 1 else " "
        yield f"{command}{_n(x)} {_n(y)}"
    if path.fill:
        yield "Z"


def _tip(text: str) -> str:
    return f"<title>{_text(text)}</title>" if text else ""


def _text(text: str) -> str:
    return escape(_allowed(text))


def _quoted(text: str) -> str:
    return quoteattr(_allowed(text))


def _allowed(text: str) -> str:
    """XML has neither control characters, which are escaped, nor these two."""
    return printable(text).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def _n(value: float) -> str:
    """At most two decimals: a hundredth of a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) >= 0.005 else "0"
