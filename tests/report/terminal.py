"""A terminal in a few lines: what is on the screen once a text with control sequences has been written to it."""

import re
from typing import NamedTuple

PIECE = re.compile(r"\x1b\[(?P<number>[?\d;]*)(?P<command>[A-Za-z])|(?P<control>[\r\n])|(?P<character>.)")


class Cell(NamedTuple):
    """A character on the screen, and the codes of its style: 1 bold, 2 dim, 32 green."""

    character: str
    style: tuple[str, ...] = ()


def cells(text: str) -> list[list[Cell]]:
    """The rows of the screen. Knows the control sequences that are written here."""
    rows: list[list[Cell]] = [[]]
    row, column, style = 0, 0, ()
    for piece in PIECE.finditer(text):
        number, command, control, character = piece.group("number", "command", "control", "character")
        if control == "\r":
            column = 0
        elif control == "\n":
            row, column = row + 1, 0
            rows += [[] for _ in range(row + 1 - len(rows))]
        elif character:
            rows[row] += [Cell(" ")] * (column - len(rows[row]))
            rows[row][column : column + 1] = [Cell(character, style)]
            column += 1
        elif command == "A":
            row -= int(number or 1)
        elif command in ("K", "J"):
            del rows[row][column:]
            rows = rows[: row + 1] if command == "J" else rows
        elif command == "m":
            style = () if number in ("", "0") else (*style, *number.split(";"))
        else:
            assert command in ("h", "l"), piece[0]
    return rows


def screen(text: str) -> list[str]:
    """The lines, without blanks at their ends and without empty ones at the end."""
    lines = ["".join(cell.character for cell in row).rstrip() for row in cells(text)]
    while lines and not lines[-1]:
        lines.pop()
    return lines
