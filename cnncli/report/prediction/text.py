"""Predictions as text or JSON on standard output."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.bar import Bar
from rich.cells import cell_len
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cnncli.escaping import json_line, one_line
from cnncli.report.prediction.outputs import Answer
from cnncli.report.terminal.console import console_on
from cnncli.report.terminal.figures import figure
from cnncli.report.terminal.output import echo
from cnncli.training.prediction import Prediction

Sink = Callable[[Prediction, Answer | None], None]
"""Receives each prediction and its interpretation; None for an unusable image."""
MOST_TABLES = 5
"""Maximum number of images with a table each; for more, one line per image."""
BAR, SHORT_BAR, PERCENT, LONGEST_LABEL = 40, 12, 7, 24
COLUMNS = (SHORT_BAR, PERCENT, 4 * 2)
"""What a line has besides names: a bar, a percentage, the gaps."""
REST = 10
"""Room for a further class with a short name."""


def text(top: int) -> "Terminal | Plain":
    """Text output: bars on a terminal, plain lines elsewhere, with the first `top` values."""
    return Terminal(top) if sys.stdout.isatty() else Plain(top)


class Plain:
    """One tab-separated line per image: file, prediction, values by name."""

    def __init__(self, top: int) -> None:
        self.top = top

    def __enter__(self) -> Sink:
        return self.add

    def __exit__(self, *error: object) -> None:
        pass

    def add(self, prediction: Prediction, answer: Answer | None) -> None:
        if answer is None:
            return
        shown = answer.ranked[: self.top] if answer.shares else answer.ranked
        figures = "  ".join(f"{name} {_plain(value, answer)}" for name, value in shown)
        parts = [prediction.image.name, answer.predicted, figures]
        echo("\t".join(one_line(part) for part in parts if part is not None))


class Terminal:
    """A table with bars per image for a few images; one line per image for many."""

    def __init__(self, top: int) -> None:
        self.top, self.console = top, console_on(sys.stdout)
        self.waiting: list[tuple[str, Answer]] = []
        self.many, self.widths = False, (0, 0)

    def __enter__(self) -> Sink:
        return self.add

    def __exit__(self, *error: object) -> None:
        for name, answer in self.waiting:
            self._table(name, answer)

    def add(self, prediction: Prediction, answer: Answer | None) -> None:
        if answer is None:
            return
        name = one_line(prediction.image.name)
        if not answer.shares:
            figures = "  ".join(f"{key} {_plain(value, answer)}" for key, value in answer.ranked)
            self.console.print(Text(_cut(name, self.console.width // 2), "bold"), figures, sep="  ")
            return
        self.waiting.append((name, answer))
        if self.many or len(self.waiting) > MOST_TABLES:
            self.many = True
            self._widen()
            for waited in self.waiting:
                self._line(*waited)
            self.waiting.clear()

    def _table(self, name: str, answer: Answer) -> None:
        shown = answer.ranked[: self.top]
        title = Text(_cut(name, self.console.width), "bold")
        if answer.predicted != shown[0][0]:
            title.append(f"  {one_line(str(answer.predicted))}", "green")
        self.console.print(title, soft_wrap=True)
        rows = Table.grid(padding=(0, 2, 0, 0))
        rows.add_column(max_width=LONGEST_LABEL, no_wrap=True, overflow="ellipsis")
        rows.add_column()
        rows.add_column(justify="right", no_wrap=True)
        for place, (label, share) in enumerate(shown):
            rows.add_row(Text(one_line(label)), _bar(share, BAR, chosen=place == 0 or share > 0.5), _percent(share))
        self.console.print(Padding(rows, (0, 0, 0, 2)))

    def _widen(self) -> None:
        """Make the columns of names and of what is predicted as wide as what waits, but leave room for the others."""
        wide, label = self.widths
        label = min(LONGEST_LABEL, max(label, *(cell_len(answer.predicted or "") for _, answer in self.waiting)))
        room = self.console.width - label - REST - sum(COLUMNS)
        self.widths = max(8, min(room, max(wide, *(cell_len(name) for name, _ in self.waiting)))), label

    def _line(self, name: str, answer: Answer) -> None:
        wide, label = self.widths
        row = Table.grid(padding=(0, 2, 0, 0))
        for width in (wide, label, SHORT_BAR):
            row.add_column(width=width, no_wrap=True, overflow="ellipsis")
        row.add_column(width=PERCENT, justify="right", no_wrap=True)
        row.add_column(style="dim", no_wrap=True)
        (_, share), *others = answer.ranked[: self.top]
        rest, room = "", self.console.width - wide - label - sum(COLUMNS)
        for other, its in others:
            longer = f"{rest}{one_line(other)} {_percent(its)}"
            if cell_len(longer) > room:
                break
            rest = f"{longer}  "
        said = Text(one_line(answer.predicted or ""), "green")
        row.add_row(Text(_cut(name, wide)), said, _bar(share, SHORT_BAR, chosen=True), _percent(share), rest.rstrip())
        self.console.print(row)


@contextmanager
def json_object(model: str, classes: Sequence[str]) -> Iterator[Sink]:
    """JSON output: one object, written incrementally."""
    head = json_line({"model": model, "classes": list(classes)})
    echo(f'{head[:-1]}, "predictions": [', nl=False)
    separator = "\n"

    def add(prediction: Prediction, answer: Answer | None) -> None:
        nonlocal separator
        said = {"error": prediction.image.problem} if answer is None else answer.document
        echo(separator + json_line({"file": prediction.image.name, **said}), nl=False)
        separator = ",\n"

    yield add
    echo("\n]}")


def _plain(value: float, answer: Answer) -> str:
    return f"{value:.4f}" if answer.shares else figure(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _bar(share: float, width: int, *, chosen: bool) -> Bar:
    return Bar(1, 0, min(max(float(share), 0), 1), width=width, color="green" if chosen else "bright_black")


def _cut(name: str, width: int) -> str:
    """The end of a name that is too long: it tells more than the beginning does."""
    if cell_len(name) <= width:
        return name
    while cell_len(name) >= width:
        name = name[1:]
    return f"…{name}"
