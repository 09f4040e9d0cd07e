"""A terminal in a few lines: what is on the screen once a text with control sequences has been written to it."""

import re

PIECE = re.compile(r"\x1b\[(?P<number>[?\d;]*)(?P<command>[A-Za-z])|(?P<control>[\r\n])|(?P<character>.)")


def screen(text: str) -> list[str]:
    """The lines, without blanks at their ends and without empty ones at the end. Knows what is written here."""
    lines, row, column = [""], 0, 0
    for piece in PIECE.finditer(text):
        number, command, control, character = piece.group("number", "command", "control", "character")
        if control == "\r":
            column = 0
        elif control == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif character:
            lines[row] = lines[row].ljust(column)[:column] + character + lines[row][column + 1 :]
            column += 1
        elif command == "A":
            row -= int(number or 1)
        elif command in ("K", "J"):
            lines[row] = lines[row][:column]
            lines = lines[: row + 1] if command == "J" else lines
        else:
            assert command in ("m", "h", "l"), piece[0]
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.rstrip() for line in lines]
