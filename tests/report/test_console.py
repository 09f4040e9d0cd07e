"""What is printed has no blanks at the ends of lines, and on a terminal of 80 columns no broken word or command."""

import io
import os
import re
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from cnncli.report.tables.datasets import print_datasets
from cnncli.report.tables.evaluation import Evaluation, print_evaluation
from cnncli.report.tables.summary import print_summary
from cnncli.report.tables.vocabulary import words
from cnncli.report.tables.vocabulary_text import print_list, print_word
from cnncli.report.terminal.console import console_on, print_table, tied
from cnncli.report.terminal.output import echo, wrapped
from cnncli.spec.spec import load

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
FRAMES = re.compile(r"[│┃┏┓┗┛└┘┌┐├┤┼━─┳╇╈┡┩┴┬╷╵]")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@cache
def shown(width, show):
    """What a printer writes on a terminal as wide as is asked for."""
    file = Terminal()
    terminal = {"COLUMNS": str(width), "TERM": "xterm", "NO_COLOR": "1"}
    with patch.dict(os.environ, terminal), redirect_stdout(file):
        show(file)
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", file.getvalue())


def in_words(text):
    return set(FRAMES.sub(" ", text).split())


def evaluation(classes):
    confusion = np.eye(len(classes), dtype=np.int64) * 7 + 1
    return Evaluation("test", 9, {"loss": 1.0}, classes, confusion, [])


DATASETS = [
    {"name": name, "images": {"train": 123456}, "shape": (28, 28, 1), "classes": 47, "bytes": size, "here": here}
    for name, size, here in (("mnist5k", 0, True), ("fashion_mnist", 561_800_000, False))
]
CLASSES = [f"automobile{number}" for number in range(10)]
SHOWN = {
    "datasets": lambda file: print_datasets(DATASETS),
    "layers": lambda file: print_list(words(), file),
    "each word": lambda file: print_word(words(), file),
}


@pytest.mark.parametrize("name", SHOWN)
def test_no_word_is_broken_at_80_columns_and_none_is_left_out(name):
    narrow, wide = shown(80, SHOWN[name]), shown(1000, SHOWN[name])
    assert in_words(wide) - {"·"} <= in_words(narrow)


SUMMARIES = {
    f"{spec.stem}{' expanded' * expand}": lambda file, spec=spec, expand=expand: print_summary(
        load(spec), file, expand=expand
    )
    for spec in CONFIGS
    for expand in (False, True)
    if not expand or "blocks:" in spec.read_text(encoding="utf-8")
}
"""The table of each spec, and where it has blocks the expanded one."""


def rows_of(text):
    """The cells of a table's rows."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_summary_has_a_line_for_each_layer_at_any_width(name):
    wide = shown(1000, SUMMARIES[name])
    for width in (60, 80, 100, 120, 160):
        text = shown(width, SUMMARIES[name])
        assert max(map(len, text.splitlines())) <= width
        assert len(rows_of(text)) == len(rows_of(wide))
        if width >= 80:
            names = [[re.sub(r" \(.*\)", "", row[0]) for row in rows_of(each)] for each in (text, wide)]
            assert names[0] == names[1]
            assert {"shape", "Params", "FLOPs", "share"} <= in_words(text)
            assert "parameters, " in text


@pytest.mark.parametrize("name", SUMMARIES)
def test_at_120_columns_a_summary_shows_all_figures(name):
    heads = in_words("\n".join(shown(1000, SUMMARIES[name]).splitlines()[:4])) - {"(type)", "Connected", "to"}
    narrow = shown(120, SUMMARIES[name])
    assert heads <= in_words("\n".join(narrow.splitlines()[:4])) | {"Memory"}
    assert "memory" in narrow


@pytest.mark.parametrize("name", [*SHOWN, *SUMMARIES])
def test_away_from_a_terminal_no_line_ends_in_blanks(name):
    file = io.StringIO()
    with redirect_stdout(file):
        (SHOWN | SUMMARIES)[name](file)
    assert file.getvalue().strip()
    assert not [line for line in file.getvalue().splitlines() if line != line.rstrip()]


def test_a_confusion_matrix_that_is_too_wide_becomes_a_list_of_confusions():
    wide = shown(200, lambda file: print_evaluation(evaluation(CLASSES)))
    assert "true \\ predicted" in wide
    narrow = shown(80, lambda file: print_evaluation(evaluation(CLASSES)))
    assert "taken for" in narrow
    assert set(CLASSES) <= in_words(narrow)


def test_a_table_without_room_has_two_lines_a_row():
    rows = [["a" * 40, "forward", "1.5"], ["b", "backward", "20"]]
    narrow = shown(50, lambda file: print_table(console_on(file), "Times", ["Layer", "Pass", "ms"], rows, range(2)))
    lines = ["Times", "Layer · Pass", "     ms", f"{'a' * 40} · forward", "    1.5", "b · backward", "     20"]
    assert narrow.splitlines() == lines


def test_a_command_between_backticks_is_never_broken():
    text = "a long explanation, then `cnncli datasets check photos` now"
    narrow = shown(40, lambda file: console_on(file).print(tied(text)))
    assert [line.rstrip() for line in narrow.splitlines()] == [
        "a long explanation, then",
        "`cnncli datasets check photos` now",
    ]
    assert wrapped(text, 40) == "a long explanation, then\n  `cnncli datasets check photos` now"
    assert shown(40, lambda file: echo(text)) == wrapped(text, 40) + "\n"
    assert shown(40, lambda file: echo("  " + text)) == f"  {text}\n"


def test_away_from_a_terminal_a_line_is_a_line(capsys):
    echo("word " * 100)
    assert capsys.readouterr().out == "word " * 100 + "\n"
