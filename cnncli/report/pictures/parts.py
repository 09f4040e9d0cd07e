"""What figures of every kind have around them: sizes, a title above, a note below."""

from cnncli.report.pictures.drawing import LINE, Item, Label

TITLE, SMALL = 15.0, 11.0
"""Sizes of text."""
EDGE = 16.0
"""Free around a drawing."""


def add_title(items: list[Item], text: str, top: float) -> float:
    """Add a title; the y below."""
    if not text:
        return top
    items.append(Label(EDGE, top + TITLE * 0.8, text, TITLE, bold=True))
    return top + TITLE * 1.7


def add_note(items: list[Item], text: str, top: float) -> float:
    """Add lines of small text; the y below."""
    for line in text.split("\n") if text else []:
        items.append(Label(EDGE, top + SMALL, line, SMALL, "muted"))
        top += SMALL * LINE
    return top
