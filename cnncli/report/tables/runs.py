"""Tables of past runs: progress and metrics."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.cells import cell_len

from cnncli.escaping import one_line
from cnncli.report.terminal.console import console_on
from cnncli.report.terminal.figures import figure
from cnncli.report.terminal.output import shown

HEADS = ("run", "epochs", "validation", "test", "size", "tags", "note")
SIZE = HEADS.index("size")
LONGEST_NOTE = 40
"""Characters of a note in a table."""
GAP = "  "


def print_runs(found: Sequence[Mapping[str, Any]], file: TextIO) -> None:
    """One row per run; a few lines per run if the output is narrow. Thousands of runs take no noticeable time."""
    console = console_on(file)
    rows = [[shown(one_line(cell)) for cell in _cells(run)] for run in found]
    used = [number for number in range(len(HEADS)) if number <= SIZE or any(row[number] for row in rows)]
    widths = [max(cell_len(row[number]) for row in (HEADS, *rows)) for number in used]
    if sum(widths) + len(GAP) * (len(widths) - 1) <= console.width:
        lines = [_line([row[number] for number in used], widths) for row in (HEADS, *rows)]
        console.print(lines[0], style="bold", soft_wrap=True)
        file.write("".join(f"{line}\n" for line in lines[1:]))
        return
    for path, epochs, validation, test, size, tags, note in rows:
        console.print(path, soft_wrap=True, style="bold")
        named = [f"{name:10}  {text}" for name, text in (("validation", validation), ("test", test)) if text]
        file.write("".join(f"  {line}\n" for line in (f"{epochs}  {size}", *named, tags, note) if line))


def csv_text(found: Sequence[Mapping[str, Any]]) -> str:
    """The facts of runs as CSV; figures of the validation and of the test have a column each, as in conditions."""
    rows = [_flat(run) for run in found]
    text = io.StringIO()
    heads = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, heads, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(run: Mapping[str, Any]) -> dict[str, Any]:
    test = {f"test_{name}": value for name, value in (run["test"] or {}).items()}
    flat = {name: value for name, value in run.items() if name not in ("figures", "test")}
    return {**flat, "tags": " ".join(run["tags"]), **run["figures"], **test}


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The cells in columns; the size is aligned to the right."""
    padded = []
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        blanks = " " * (width - cell_len(cell))
        padded.append(f"{blanks}{cell}" if number == SIZE else f"{cell}{blanks}")
    return GAP.join(padded).rstrip()


def _cells(run: Mapping[str, Any]) -> list[str]:
    """The path, how far it came, the figures of validation and test, the size, tags and note."""
    figures = {name[4:]: value for name, value in run["figures"].items() if name.startswith("val_")}
    note = run["note"]
    return [
        run["run"],
        f"{run['epochs']}/{run['planned_epochs'] or '?'}{'' if run['state'] == 'finished' else '  ' + run['state']}",
        *(
            "  ".join(f"{name} {figure(value)}" for name, value in part.items())
            for part in (figures, run["test"] or {})
        ),
        f"{run['bytes'] / 1e6:,.1f} MB",
        " ".join(f"#{tag}" for tag in run["tags"]),
        note if len(note) <= LONGEST_NOTE else f"{note[: LONGEST_NOTE - 1]}…",
    ]
