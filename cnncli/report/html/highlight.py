"""Specs with highlighting, and the differences of two."""

from collections.abc import Sequence
from difflib import unified_diff

from markupsafe import Markup, escape
from pygments.lexers.data import YamlLexer
from pygments.token import Comment, Name, String, _TokenType

from cnncli.escaping import printable
from cnncli.report.html.page import DiffLine, SpecDiff

LONGEST = 100_000
"""Characters of a spec that are shown."""
CLASSES = {Name.Tag: "key", String: "text", Comment: "note"}
"""CSS classes of tokens."""
SPAN = Markup('<span class="{}">{}</span>')
KINDS = {"+": "added", "-": "removed", "@": "place"}


def yaml(text: str) -> Markup:
    """YAML with spans around keys, strings and comments, which page.css colors; a long text is cut."""
    whole, shown = len(text), printable(text[:LONGEST])
    tokens = YamlLexer(stripnl=False).get_tokens(shown)
    pieces = [SPAN.format(_class(kind), value) if _class(kind) else escape(value) for kind, value in tokens]
    cut = f"… {whole - LONGEST:,} more characters: see spec.yaml of the run\n" if whole > LONGEST else ""
    return Markup("").join([*pieces, cut])


def _class(kind: _TokenType) -> str:
    return next((name for token, name in CLASSES.items() if kind in token), "")


def difference(title: str, before: str, after: str) -> SpecDiff:
    """What differs between two specs, with three lines around it."""
    lines = list(unified_diff(before.splitlines(), after.splitlines(), lineterm=""))[2:]
    return SpecDiff(title, [DiffLine(KINDS.get(line[:1], "same"), line) for line in _without_marks(lines)])


def _without_marks(lines: Sequence[str]) -> list[str]:
    """`@@ -3,7 +3,7 @@` as `@ line 3`."""
    return [
        f"@ line {line.split('+')[1].split(',')[0].split()[0]}" if line.startswith("@@") else line for line in lines
    ]
