"""Colors by role, for light and dark backgrounds, and the typeface."""

from collections.abc import Iterable
from typing import NamedTuple

Color = tuple[int, int, int]
"""Red, green, blue: 0 … 255."""
FONTS = "Helvetica,Arial,'Liberation Sans',sans-serif"


class Shade(NamedTuple):
    """The color of a role on a light and on a dark background, as #rrggbb."""

    light: str
    dark: str


ROLES = {
    "paper": Shade("#ffffff", "#14171c"),
    "panel": Shade("#f3f4f6", "#1f242c"),
    "grid": Shade("#e2e5e9", "#2f353f"),
    "muted": Shade("#5c6470", "#9ca5b1"),
    "ink": Shade("#1b1f24", "#e6e9ed"),
    "accent": Shade("#1f5fbf", "#6ea8fe"),
    "good": Shade("#197a48", "#4cc38a"),
    "bad": Shade("#bf2f26", "#ff7b72"),
    "series-1": Shade("#1f5fbf", "#6ea8fe"),
    "series-2": Shade("#b85a08", "#ffa657"),
    "series-3": Shade("#197a48", "#4cc38a"),
    "series-4": Shade("#7a4bd0", "#c297ff"),
    "series-5": Shade("#b03082", "#ff80c0"),
    "series-6": Shade("#0b7a88", "#4fd1e0"),
    "series-7": Shade("#84551f", "#d8ab73"),
    "series-8": Shade("#5c6470", "#9ca5b1"),
}
"""Text in any role but "grid" and "panel" has a contrast of at least 4.5 against "paper" (WCAG 2.1, level AA)."""
SERIES = tuple(role for role in ROLES if role.startswith("series-"))


def series(number: int) -> str:
    """The role of the series `number` (from 0); after the last they start again."""
    return SERIES[number % len(SERIES)]


def rgb(role: str, *, dark: bool = False, opacity: float = 1.0) -> Color:
    """The color of a role, blended with the paper if it is not opaque."""
    color, paper = (_parsed(ROLES[name].dark if dark else ROLES[name].light) for name in (role, "paper"))
    red, green, blue = (round(opacity * a + (1 - opacity) * b) for a, b in zip(color, paper, strict=True))
    return red, green, blue


def css(roles: Iterable[str]) -> str:
    """Rules of the classes `f-<role>` (fill) and `s-<role>` (stroke), light and dark; light in print."""
    names = [role for role in ROLES if role in set(roles)]
    dark = f"@media screen and (prefers-color-scheme:dark){{{_rules(names, 1)}}}"
    return f"{_rules(names, 0)}{dark}text{{font-family:{FONTS}}}"


def variables() -> str:
    """Custom properties `--<role>` for the style sheet of a page, light and dark; light in print."""
    light, dark = ("".join(f"--{role}:{shade[index]};" for role, shade in ROLES.items()) for index in (0, 1))
    return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def _rules(roles: Iterable[str], index: int) -> str:
    return "".join(f".f-{role}{{fill:{ROLES[role][index]}}}.s-{role}{{stroke:{ROLES[role][index]}}}" for role in roles)


def _parsed(text: str) -> Color:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
