"""Where tables are printed."""

from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from cnncli.escaping import printable

WIDEST_PLAIN = 200
"""Columns where there is no terminal: what reads it can fold lines itself."""


class EscapingConsole(Console):
    """A console on which control characters of what is shown are escaped: only the console itself steers a terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def console_on(file: TextIO) -> Console:
    """A console that takes texts as they are (brackets are no markup) and is plain and wide away from a terminal."""
    settings: dict[str, Any] = {"file": file, "highlight": False, "markup": False, "emoji": False}
    console = EscapingConsole(**settings)
    return console if console.is_terminal else EscapingConsole(**settings, width=WIDEST_PLAIN)
