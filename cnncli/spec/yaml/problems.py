"""Collects the problems and warnings of a spec with their places, to report all at once."""

import re
from typing import Literal
from unicodedata import east_asian_width

from cnncli.errors import Diagnostic, SpecError
from cnncli.escaping import one_line, printable
from cnncli.spec.yaml.tree import Place

LINE_BREAK = "\r\n|[\n\r\x85\u2028\u2029]"
"""YAML's line breaks."""
WIDEST = 120
LONGEST = 2000
"""Maximum characters of a message; lists of available names have over a thousand."""


Found = dict[tuple[str, int, int, str], dict[str, None]]
"""(override, line, column, message) of each problem → the notes of its places."""


class Problems:
    """Collects the problems of `text`, shown to the user as `filename`."""

    def __init__(self, filename: str, text: str) -> None:
        self.filename, self.text = filename, text
        self.found: Found = {}
        self.doubts: Found = {}
        self.noted = 0

    def __len__(self) -> int:
        """The number of reported problems, including duplicates, so that callers can detect new ones."""
        return self.noted

    def add(self, place: Place, message: str) -> None:
        """Report a problem. The same problem in several uses of a block is shown once."""
        self.noted += 1
        _note(self.found, place, message)

    def warn(self, place: Place, message: str) -> None:
        """Add a warning."""
        _note(self.doubts, place, message)

    def at(self, place: Place) -> str:
        """file:line:column."""
        return f"{self.filename}:{place.line}:{place.column}"

    def diagnostics(self) -> list[Diagnostic]:
        """The problems, then the warnings, each sorted by place."""
        return [*self._diagnosed(self.found, "error"), *self.warnings()]

    def warnings(self) -> list[Diagnostic]:
        """The warnings, sorted by place."""
        return self._diagnosed(self.doubts, "warning")

    def _diagnosed(self, found: Found, level: Literal["error", "warning"]) -> list[Diagnostic]:
        lines = re.split(LINE_BREAK, self.text)
        diagnosed = []
        for (override, line, column, message), notes in sorted(found.items(), key=lambda item: item[0]):
            note = next(iter(notes))
            more = f" (and in {len(notes) - 1} more use{'s' * (len(notes) > 2)})" if len(notes) > 1 else ""
            shown = not override and line <= len(lines) and bool(lines[line - 1].strip())
            excerpt = _pointed(lines[line - 1], column) if shown else ""
            text = _shortened(f"{message}{note}{more}")
            diagnosed.append(Diagnostic(text, level, self.filename, line, column, override, excerpt))
        return diagnosed

    def raise_any(self) -> None:
        """Raise SpecError if there are problems."""
        if self.found:
            raise SpecError(self.diagnostics())


def _note(found: Found, place: Place, message: str) -> None:
    found.setdefault((place.override, place.line, place.column, message), {})[place.note] = None


def _shortened(message: str) -> str:
    return one_line(message if len(message) <= LONGEST else f"{message[:LONGEST]} …")


def _pointed(source: str, column: int) -> str:
    start = max(0, column - 1 - WIDEST * 2 // 3) if len(source) > WIDEST else 0
    before, excerpt = (printable(source[start:end]) for end in (column - 1, start + WIDEST))
    blank = "".join("\t" if c == "\t" else "  " if east_asian_width(c) in "WF" else " " for c in before)
    return f"  {excerpt}\n  {blank}^"
