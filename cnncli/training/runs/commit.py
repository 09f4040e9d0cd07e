"""The git commit that a folder has checked out. It is read from .git without running git, which a
repository can configure to run other programs; uncommitted changes are therefore not detected.
"""

import re
from pathlib import Path

HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
REFERENCE = re.compile(r"ref: (refs/[^\0]+)")
LONGEST = 4096
MOST_PARTS = 5
"""Maximum number of symbolic references to follow."""


def commit(folder: Path) -> str | None:
    """The hash of the commit, or None if the folder is not in a repository or it can't be read."""
    try:
        place = next(above / ".git" for above in (folder, *folder.parents) if (above / ".git").exists())
        if place.is_file():  # of a worktree or a submodule: `gitdir: PATH`
            place = place.parent / _text(place).removeprefix("gitdir: ")
        common = place / "commondir"
        places = [place, *([place / _text(common)] if common.is_file() else [])]
        return _followed(_text(place / "HEAD"), places)
    except (OSError, StopIteration, ValueError):
        return None


def _followed(text: str, places: list[Path]) -> str | None:
    """The hash in HEAD or in the reference that it names."""
    for _ in range(MOST_PARTS):
        if HASH.fullmatch(text):
            return text
        reference = REFERENCE.fullmatch(text)
        if reference is None or ".." in Path(reference[1]).parts:
            return None
        text = _reference(reference[1], places)
    return None


def _reference(name: str, places: list[Path]) -> str:
    for place in places:
        if (place / name).is_file():
            return _text(place / name)
    for place in places:
        if (place / "packed-refs").is_file():
            with (place / "packed-refs").open(encoding="utf-8") as lines:
                for line in lines:
                    if line.rstrip("\n").endswith(f" {name}"):
                        return line.partition(" ")[0]
    return ""


def _text(file: Path) -> str:
    with file.open(encoding="utf-8") as opened:
        return opened.read(LONGEST).rstrip("\n")
