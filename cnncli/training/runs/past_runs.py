"""Finding and reading past runs of this working directory, without NumPy."""

import fcntl
import json
import os
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from cnncli.errors import CnncliError, DivergedError, InterruptedRun, PrunedRun
from cnncli.system.files import bounded_lines, open_regular, read_bounded
from cnncli.system.folders import RUNS
from cnncli.training.runs.model_file import about
from cnncli.training.runs.registry import registered

SPEC, METRICS, RESULT, ENVIRONMENT = "spec.yaml", "metrics.jsonl", "result.json", "environment.json"
SPLITS = "splits.json"
MODEL_FILES = ("best.safetensors", "last.safetensors")
"""The model files of a run, the final weights first."""
OWN_FILES = (SPEC, METRICS, RESULT, ENVIRONMENT, SPLITS, *MODEL_FILES)
Ending = Literal["finished", "diverged", "interrupted", "pruned", "failed"]
"""How a run can end."""
STAMP = "%Y%m%d-%H%M%S"
"""Start time in a run's directory name; more runs within the same second get a numeric suffix."""
DATED = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)(-\d+)?")
LARGEST_RESULT = 1 << 20
LARGEST_SPLITS = 1 << 28
"""Bytes."""
MEASURED = ("learning_rate", "seconds")
"""Keys of a line of metrics.jsonl that are measured, not computed."""


def all_runs(name: str | None = None) -> list[Path]:
    """The runs of `name`, or of all names, wherever they are, newest first."""
    elsewhere = [run for run in registered() if name in (None, name_of(run))]
    places = {run.resolve(): run for run in reversed(elsewhere)}
    for folder in _folders(RUNS) if name is None else [RUNS / name]:
        place = folder.resolve()
        places |= {place / run.name: run for run in _folders(folder, links=False) if (run / SPEC).exists()}
    return sorted(places.values(), key=lambda run: (began(run), _first_written(run)), reverse=True)


def _folders(folder: Path, *, links: bool = True) -> list[Path]:
    """The directories in a directory, without hidden ones; `links`: also links to directories."""
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=links)]
    except OSError:
        return []
    return [folder / name for name in found if not name.startswith(".")]


Files = list[tuple[str, int, int]]
"""Name, bytes and time of the last change (ns) of each file in a run directory, in the order of names."""


def files(run: Path) -> Files:
    """The files in a run directory. Raises OSError."""
    found = []
    with os.scandir(run) as entries:
        for entry in entries:
            with suppress(OSError):  # it has just been replaced, or is a broken link
                if entry.is_file():
                    about = entry.stat()
                    found.append((entry.name, about.st_size, about.st_mtime_ns))
    return sorted(found)


def newest(name: str | None = None) -> Path | None:
    """The newest run that has a model; runs killed before saving one are skipped."""
    return next((run for run in all_runs(name) if model_files(run)), None)


def name_of(run: Path) -> str:
    """The name in its spec, from the parent folder or else its model file."""
    if run.parent.parent == RUNS:
        return run.parent.name
    for file in model_files(run):
        with suppress(CnncliError, KeyError):
            return str(about(file).spec["name"])
    return run.name


def model_files(run: Path) -> list[Path]:
    """Its existing model files, the final weights first."""
    return [run / name for name in MODEL_FILES if (run / name).is_file()]


def began(run: Path) -> datetime:
    """Start in local time, from its directory name, its environment.json or else its spec's modification time."""
    stamp = DATED.fullmatch(run.name)
    with suppress(ValueError):
        if stamp:
            year, month, day, hour, minute, second = map(int, stamp.groups()[:6])
            return datetime(year, month, day, hour, minute, second)
    with suppress(ValueError, TypeError, OverflowError):
        return datetime.fromisoformat(environment(run)["started"]).astimezone().replace(tzinfo=None)
    return datetime.fromtimestamp(_first_written(run) / 1e9)


def _first_written(run: Path) -> int:
    """When (ns) a file was written that is written when a run starts and, unlike its spec, not when it is resumed."""
    for file in (run / ENVIRONMENT, run / SPEC):
        with suppress(OSError):
            return file.stat().st_mtime_ns
    return 0


def environment(run: Path) -> dict[str, Any]:
    """The contents of a run's environment.json, including "started"."""
    return {"started": None, **_object(run / ENVIRONMENT)}


def is_held(run: Path) -> bool:
    """Whether a process is training in it; unknown where file locks are not supported."""
    descriptor = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def history(run: Path) -> list[dict[str, Any]]:
    """The metrics of each completed epoch, up to the first truncated or invalid line."""
    found: list[dict[str, Any]] = []
    invalid = (ValueError, TypeError, OverflowError, RecursionError)
    with suppress(OSError, *invalid), open_regular(run / METRICS) as file:
        found.extend(_epoch(json.loads(line)) for line in bounded_lines(file))
    return found


def _epoch(line: Any) -> dict[str, Any]:
    """The figures of an epoch. Raises ValueError, TypeError or OverflowError for what is not numbers by name."""
    figures = dict(line)
    for value in figures.values():
        if not isinstance(value, int | float | None):
            raise TypeError(type(value))
        float(value or 0)  # some integers are too large
    if not isinstance(figures.get("epoch", 1), int):
        raise TypeError("epoch")
    return figures


def best_epoch(run: Path) -> int | None:
    """The epoch (from 1) of the weights in best.safetensors; None if there is no such file or it can't be read."""
    with suppress(CnncliError):
        return about(run / MODEL_FILES[0]).epoch or None
    return None


def result(run: Path) -> dict[str, Any]:
    """How a run ended, if recorded.

    "state": "finished", "diverged", "interrupted" or "failed"; then "reason", or, if finished, "epoch", the
    epoch of the final weights, and "test", its metrics or None.
    """
    found = _object(run / RESULT)
    return {"state": "finished", **found} if found else {}


def ending(error: BaseException) -> Ending:
    """How a run ends with this error."""
    if isinstance(error, InterruptedRun | KeyboardInterrupt):
        return "interrupted"
    kinds: dict[type[BaseException], Ending] = {DivergedError: "diverged", PrunedRun: "pruned"}
    return next((name for kind, name in kinds.items() if isinstance(error, kind)), "failed")


def sizes(run: Path) -> dict[str, int]:
    """The number of images of each split; empty if not recorded."""
    splits = _object(run / SPLITS, LARGEST_SPLITS)
    with suppress(TypeError, KeyError, ValueError, OverflowError):
        return {name: _size(split) for name, split in splits.items() if isinstance(split, dict)}
    return {}


def _size(split: dict[str, Any]) -> int:
    """The number of images of a split, from its document."""
    listed = split.get("files", split.get("rows"))
    return int(split["stop"]) - int(split["start"]) if listed is None else len(listed)


def _object(file: Path, largest: int = LARGEST_RESULT) -> dict[str, Any]:
    """The JSON object in a file; empty if there is none."""
    try:
        found = json.loads(read_bounded(file, largest))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def data_digest(run: Path) -> str | None:
    """The digest of the data that a run was trained on; None if not recorded."""
    try:
        return str(json.loads(read_bounded(run / ENVIRONMENT, LARGEST_RESULT))["data_digest"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
