"""Runs that were made in this working directory and lie elsewhere, where `--output` put them; without NumPy.

runs/.index has a line for each: its path as JSON. Nothing more than that a run may lie there is taken from it: a line
that is damaged, or whose run was moved or removed, does not count.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cnncli import notices
from cnncli.errors import reason
from cnncli.hints import is_run
from cnncli.system.folders import RUNS

INDEX, IGNORE = RUNS / ".index", RUNS / ".gitignore"
LARGEST = 1 << 20
"""Bytes that are read, from the end."""


def make_folder() -> None:
    """Make runs/, which git is to ignore. Raises OSError."""
    RUNS.mkdir(parents=True, exist_ok=True)
    if not IGNORE.exists():
        IGNORE.write_text("*\n", encoding="utf-8")


def register(run: Path, shown: str) -> None:
    """Keep the path `shown` of a run that is not one of runs/<name>/. Where that fails, a warning says so."""
    place = run.resolve()
    if place.parent.parent == RUNS.resolve() or place in {path.resolve() for path in registered()}:
        return
    try:
        make_folder()
        descriptor = os.open(INDEX, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666)
        try:
            # One write, so that several processes may append; the first newline ends what a killed one left.
            os.write(descriptor, f"\n{json.dumps(shown)}\n".encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        notices.warn(f"{INDEX} can't be written ({reason(error)}): `cnncli runs` will not list {shown}")


def registered() -> Iterator[Path]:
    """The runs that are where they were when they were registered, the oldest first."""
    for line in dict.fromkeys(_lines()):
        with suppress(ValueError, RecursionError, OSError):  # ValueError: also a NUL in a path
            path = json.loads(line)
            if isinstance(path, str) and is_run(Path(path)):
                yield Path(path)


def _lines() -> list[bytes]:
    try:
        if not INDEX.is_file():
            return []
        with INDEX.open("rb") as file:
            file.seek(max(0, INDEX.stat().st_size - LARGEST))
            return file.read(LARGEST).split(b"\n")
    except OSError:
        return []
