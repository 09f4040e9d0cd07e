"""Where tables are printed."""

from typing import Any, TextIO

from rich.console import Console

WIDEST_PLAIN = 200
"""Columns where there is no terminal: what reads it can fold lines itself."""


def console_on(file: TextIO) -> Console:
    """A console that takes texts as they are (brackets are no markup) and is plain and wide away from a terminal."""
    settings: dict[str, Any] = {"file": file, "highlight": False, "markup": False, "emoji": False}
    console = Console(**settings)
    return console if console.is_terminal else Console(**settings, width=WIDEST_PLAIN)
