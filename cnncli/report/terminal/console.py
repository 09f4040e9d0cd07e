"""The console for tables."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from cnncli.report.terminal.figures import ASCII
from cnncli.report.terminal.output import shown

WIDEST_PLAIN = 200
"""Columns where there is no terminal: what reads it can fold lines itself."""
ANY_WIDTH = 100_000
TIE = "\ue000"
"""Stands for a blank between which no line is broken, until the line is written."""


class EscapingConsole(Console):
    """A console on which control characters of what is shown are escaped: only the console itself steers a terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        """A plain text, escaped before it is measured: the columns of tables are as wide as what is shown."""
        return super().render_str(shown(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                text = shown(segment.text.replace(TIE, " "))
                yield segment._replace(text=text.translate(ASCII) if self.options.ascii_only else text)


class Trimmed:
    """A text file that gets lines without blanks at their ends; in all else it is the file it stands for."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, text: str) -> int:
        """Write whole lines."""
        return self.file.write("\n".join(line.rstrip(" ") for line in text.split("\n")))


def console_on(file: TextIO) -> Console:
    """A console that takes texts as they are (brackets are no markup) and is plain and wide away from a terminal."""
    settings: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
    console = EscapingConsole(**settings, file=file)
    if console.is_terminal:
        return console
    return EscapingConsole(**settings, file=cast(TextIO, Trimmed(file)), width=WIDEST_PLAIN)


def tied(text: str) -> str:
    """The text, for a console: between backticks no line is broken."""
    return re.sub(r"`[^`]*`", lambda command: command[0].replace(" ", TIE), text)


def fits(console: Console, table: Table) -> bool:
    """Whether the table has room on the console without a line broken in its cells."""
    options = console.options.update(width=ANY_WIDTH)
    return Measurement.get(console, options, table).maximum <= console.width


def print_table(
    console: Console, title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], texts: Collection[int]
) -> None:
    """A table whose columns `texts` hold texts, and the others figures.

    Where it is wider than the console, the texts of a row have a line, and its figures one below.
    """
    table = Table(title=title, title_justify="left")
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number in texts else "right")
    for row in rows:
        table.add_row(*row)
    if fits(console, table):
        console.print(table)
        return
    figures = [number for number in range(len(heads)) if number not in texts]
    widths = {number: max(len(row[number]) for row in (heads, *rows)) for number in figures}
    console.print(title, style="italic")
    for row, style in ((heads, "bold"), *((row, "") for row in rows)):
        console.print(" · ".join(row[number] for number in sorted(texts) if row[number]), style=style)
        console.print("    " + "   ".join(row[number].rjust(widths[number]) for number in figures), style=style)
