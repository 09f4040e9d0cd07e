"""Names in specs as text: a list by kind, and a page about one."""

from collections.abc import Sequence
from itertools import groupby
from typing import TextIO

from rich.padding import Padding
from rich.table import Table

from cnncli.layers.declarations.field_docs import first_sentence
from cnncli.report.tables.vocabulary import PLACES, Word
from cnncli.report.terminal.console import console_on, tied
from cnncli.spec.yaml.writer import flow


def print_list(words: Sequence[Word], file: TextIO) -> None:
    """A chapter a kind, a line a word."""
    console = console_on(file)
    for kind, group in groupby(words, key=lambda word: word.kind):
        console.print(PLACES[kind][0], style="bold")
        console.print(_indented([(word.name, first_sentence(word.about)) for word in group]), "")
    console.print(tied("`cnncli layers NAME` explains one of them, like `cnncli layers Conv2D`"))


def print_word(words: Sequence[Word], file: TextIO) -> None:
    """All about each word: what it is, its arguments, an entry to copy."""
    console = console_on(file)
    for number, word in enumerate(words):
        if number:
            console.print()
        also = f", also called {', '.join(word.others)}" if word.others else ""
        console.print(f"{word.name}: {word.kind}{also}", style="bold")
        console.print(word.about)
        if word.family:
            console.print(f"({PLACES[word.kind][0]}: {word.family})")
        if word.fields:
            console.print()
            console.print(_indented(_rows(word)))
        console.print("\nExample")
        console.print("\n".join(f"  {line}" for line in word.example.splitlines()), soft_wrap=True)


def _rows(word: Word) -> list[tuple[str, ...]]:
    """Of each argument its name, its default, what it may be."""
    rules = word.rules
    return [
        (name, "required" if field.required else flow(field.plain_default()), rules[name])
        for name, field in word.fields.items()
    ]


def _indented(rows: Sequence[tuple[str, ...]]) -> Padding:
    """Columns, the last of which is folded between words."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for _ in rows[0][:-1]:
        table.add_column(no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(*row)
    return Padding(table, (0, 0, 0, 2), expand=False)
