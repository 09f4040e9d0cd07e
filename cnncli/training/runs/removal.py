"""Removing runs: renamed first, so that a run is there as a whole or not at all, then deleted.

A run is locked meanwhile, so that none is removed in which a process is training. No link is followed: neither one to
another directory, nor one within the run.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from cnncli.errors import CnncliError, UsageError, reason
from cnncli.hints import is_run
from cnncli.system.folders import RUNS
from cnncli.training.runs import past_runs, run_directory
from cnncli.training.runs.notes import NOTES

OWN = (
    *(past_runs.SPEC, past_runs.METRICS, past_runs.RESULT, past_runs.ENVIRONMENT, past_runs.SPLITS, NOTES),
    *past_runs.MODEL_FILES,
    *("misclassified.csv", "residuals.csv", "report.html"),
)
"""Files that cnncli writes into a run."""


@dataclass(frozen=True)
class Removal:
    """A run to remove: its path, the bytes of its files, and the names of what cnncli has not written there."""

    path: Path
    size: int
    others: Sequence[str]


def planned(path: Path) -> Removal:
    """What would be removed. Raises UsageError if that is no run, is a link to elsewhere, or holds more than a run."""
    place = path
    if path.is_symlink():
        place = path.parent / path.readlink()
        if place.parent != path.parent:
            raise UsageError(f"'{path}' is a link to '{path.readlink()}': name that run itself to remove it")
    if not is_run(place):
        raise UsageError(f"'{path}' is no run: it has no spec.yaml")
    try:
        if past_runs.is_held(place):
            raise UsageError(f"{place}: a process is training in this run: it is not removed")
        found = list(_entries(place))
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {reason(error)}") from None
    _refuse_more(place, [entry for entry, _ in found])
    others = sorted({entry.parts[0] for entry, _ in found} - {*OWN})
    return Removal(place, sum(size for _, size in found), others)


def _refuse_more(run: Path, entries: Sequence[Path]) -> None:
    """Raise UsageError for a directory that is more than a run: the working directory, or one with runs in it."""
    resolved = run.resolve()
    if Path.cwd().is_relative_to(resolved) or RUNS.resolve().is_relative_to(resolved):
        raise UsageError(f"'{run}' has the working directory in it: it is not removed")
    foreign = [entry for entry in entries if _is_inner(entry)]
    if foreign:
        raise UsageError(f"'{run}' is more than a run, for it has {foreign[0]} in it: it is not removed")


def _is_inner(entry: Path) -> bool:
    """Whether a file is that of a run within the run, or of a repository."""
    return len(entry.parts) > 1 and (entry.name == past_runs.SPEC or entry.parts[0] == ".git")


def _entries(folder: Path) -> Iterator[tuple[Path, int]]:
    """Every file below a directory with its bytes; a link counts as itself."""
    for parent, folders, files in os.walk(folder):
        for name in files + [name for name in folders if (Path(parent) / name).is_symlink()]:
            entry = Path(parent) / name
            with suppress(FileNotFoundError):
                yield entry.relative_to(folder), entry.lstat().st_size


def remove(run: Path) -> None:
    """Remove a run. Raises UsageError if a process is training in it, CnncliError if it can't be removed."""
    with closing(run_directory.Run(run)):
        gone = run.with_name(f".{os.urandom(4).hex()}.removed")
        try:
            run.rename(gone)
        except OSError as error:
            raise CnncliError(f"{run}: can't be removed: {reason(error)}") from None
        _relink(run)
        try:
            (gone / past_runs.SPEC).unlink(missing_ok=True)  # what is left is no run, should deleting be interrupted
            shutil.rmtree(gone)
        except OSError as error:
            raise CnncliError(f"{run}: is removed, but {gone} can't be deleted: {reason(error)}") from None
    with suppress(OSError):  # there are other runs of its name
        if _folder(run).parent == RUNS.resolve():
            run.parent.rmdir()


def _relink(run: Path) -> None:
    """Point `latest`, if it pointed to the run, to the newest that is left."""
    latest = run.parent / run_directory.LATEST
    with suppress(OSError):
        if not latest.is_symlink() or latest.readlink() != Path(run.name):
            return
        left = [other for other in past_runs.all_runs(run.parent.name) if _folder(other) == _folder(run)]
        if left:
            run_directory.point(left[0])
        else:
            latest.unlink()


def _folder(run: Path) -> Path:
    return run.parent.resolve()
