"""Specs with highlighting, and the differences of two."""

from collections.abc import Sequence
from difflib import unified_diff

from markupsafe import Markup
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers.data import YamlLexer

from cnncli.escaping import printable
from cnncli.report.html.page import DiffLine, SpecDiff

KINDS = {"+": "added", "-": "removed", "@": "place"}


def yaml(text: str) -> Markup:
    """YAML with a span for each token; page.css colors them."""
    return Markup(highlight(printable(text), YamlLexer(), HtmlFormatter(nowrap=True)))  # Pygments escapes the text


def difference(title: str, before: str, after: str) -> SpecDiff:
    """What differs between two specs, with three lines around it."""
    lines = list(unified_diff(before.splitlines(), after.splitlines(), lineterm=""))[2:]
    return SpecDiff(title, [DiffLine(KINDS.get(line[:1], "same"), line) for line in _without_marks(lines)])


def _without_marks(lines: Sequence[str]) -> list[str]:
    """`@@ -3,7 +3,7 @@` as `@ line 3`."""
    return [
        f"@ line {line.split('+')[1].split(',')[0].split()[0]}" if line.startswith("@@") else line for line in lines
    ]
