"""Registry of runs of this working directory that `--output` placed elsewhere; without NumPy.

runs/.index has one line per run: its path as JSON. Damaged lines, and those whose run was moved or removed, are
ignored.
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
"""Maximum number of bytes to read, from the end."""


def make_folder() -> None:
    """Create runs/ with a .gitignore. Raises OSError."""
    RUNS.mkdir(parents=True, exist_ok=True)
    if not IGNORE.exists():
        IGNORE.write_text("*\n", encoding="utf-8")


def register(run: Path, shown: str) -> None:
    """Register the path `shown` of a run outside runs/<name>/. Warns on failure."""
    place = run.resolve()
    if place.parent.parent == RUNS.resolve() or place in {path.resolve() for path in registered()}:
        return
    try:
        make_folder()
        descriptor = os.open(INDEX, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666)
        try:
            # A single write, so that several processes may append; the leading newline ends a truncated line.
            os.write(descriptor, f"\n{json.dumps(shown)}\n".encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        notices.warn(f"{INDEX} can't be written ({reason(error)}): `cnncli runs` will not list {shown}")


def registered() -> Iterator[Path]:
    """The registered runs that still exist, oldest first."""
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
