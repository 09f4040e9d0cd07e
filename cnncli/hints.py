"""Names in messages: the nearest known name or path, the first of many, all in a sentence."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cnncli.system.folders import RUNS

CONFIGS = Path("configs")
MODEL_ENDING = ".safetensors"
SPEC_ENDINGS = (".yaml", ".yml")
LONGEST_NAME = 200
"""Maximum length of names to compare, because comparison takes quadratic time."""


def few(names: Sequence[str], most: int) -> str:
    """The first names, and … if there are more than `most`."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def joined(names: Sequence[str]) -> str:
    """Two or more names in a sentence: a, b and c."""
    return f"{', '.join(names[:-1])} and {names[-1]}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?" for the nearest of `known`, or nothing."""
    near = _nearest(name, known)
    return f"; did you mean '{near}'?" if near else ""


def path_suggestion(path: Path, known: Iterable[Path]) -> str:
    """ "; did you mean 'x'?" for the nearest of the `known` paths, or nothing.

    Compares without suffixes, which would make short names similar: first whole paths, then file names.
    """
    others = [other for other in known if other != path]
    for spelt in (lambda other: str(other.parent / other.stem), lambda other: other.stem):
        words = {spelt(other): other for other in reversed(others)}
        near = _nearest(spelt(path), words)
        if near:
            return f"; did you mean '{words[near]}'?"
    return ""


def specs(folder: Path) -> Iterator[Path]:
    """The specs in `folder` and in configs/."""
    for place in dict.fromkeys((folder, CONFIGS)):
        yield from (file for file in sorted(place.glob("*.y*ml")) if file.suffix in SPEC_ENDINGS and file.exists())


def runs(folder: Path) -> Iterator[Path]:
    """The runs in `folder` and under runs/, newest first."""
    found = [*folder.glob("*/spec.yaml"), *RUNS.glob("*/*/spec.yaml")]
    yield from dict.fromkeys(file.parent for file in sorted(found, reverse=True))


def models(folder: Path) -> Iterator[Path]:
    """The model files in `folder`."""
    yield from (file for file in sorted(folder.glob(f"*{MODEL_ENDING}")) if file.exists())


def is_run(path: Path) -> bool:
    """Whether the path is a run directory."""
    return (path / "spec.yaml").is_file()


def missing(path: Path, what: str, known: Iterable[Path]) -> str:
    """Message that `path` is not a `what`, suggesting one of the `known` paths; or that it is a broken link."""
    if path.is_symlink():
        return f"'{path}' is a link to '{path.readlink()}', which does not exist"
    return f"there is no {what} '{path}'{path_suggestion(path, known)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # local: only needed for errors

    known = list(known) if len(name) <= LONGEST_NAME else []
    lowered = {word.lower(): word for word in reversed(known)}
    near = get_close_matches(name, known, 1, 0.6) or [
        lowered[word] for word in get_close_matches(name.lower(), lowered, 1, 0.6)
    ]
    return near[0] if near else ""
