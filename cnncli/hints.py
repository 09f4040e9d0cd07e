"""The way out of an error: the name or the path that may have been meant; this module imports only where things are."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from cnncli.system.folders import RUNS

CONFIGS = Path("configs")
MODEL_ENDING = ".safetensors"
SPEC_ENDINGS = (".yaml", ".yml")
LONGEST_NAME = 200
"""Characters, beyond which nothing is near: to compare takes time by their square."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?" for the nearest of `known`, or nothing."""
    near = _nearest(name, known)
    return f"; did you mean '{near}'?" if near else ""


def path_suggestion(path: Path, known: Iterable[Path]) -> str:
    """ "; did you mean 'x'?" for the nearest of the `known` paths, or nothing.

    Without their endings, which would make short names alike: first whole paths are compared, then last names alone.
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
    """The runs in `folder` and under runs/, the newest first."""
    found = [*folder.glob("*/spec.yaml"), *RUNS.glob("*/*/spec.yaml")]
    yield from dict.fromkeys(file.parent for file in sorted(found, reverse=True))


def models(folder: Path) -> Iterator[Path]:
    """The model files in `folder`."""
    yield from (file for file in sorted(folder.glob(f"*{MODEL_ENDING}")) if file.exists())


def is_run(path: Path) -> bool:
    """Whether a run is there."""
    return (path / "spec.yaml").is_file()


def missing(path: Path, what: str, known: Iterable[Path]) -> str:
    """That there is no `what` at `path`, and which of the `known` paths may have been meant; or a link to nowhere."""
    if path.is_symlink():
        return f"'{path}' is a link to '{path.readlink()}', which does not exist"
    return f"there is no {what} '{path}'{path_suggestion(path, known)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # here because only what went wrong needs it

    known = list(known) if len(name) <= LONGEST_NAME else []
    lowered = {word.lower(): word for word in reversed(known)}
    near = get_close_matches(name, known, 1, 0.6) or [
        lowered[word] for word in get_close_matches(name.lower(), lowered, 1, 0.6)
    ]
    return near[0] if near else ""
