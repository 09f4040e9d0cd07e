"""The runs that trainings in this working directory left, found again; without NumPy."""

import fcntl
import json
import os
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from cnncli.errors import CnncliError
from cnncli.system.files import bounded_lines, open_regular, read_bounded
from cnncli.system.folders import RUNS
from cnncli.training.runs.model_file import about
from cnncli.training.runs.registry import registered

SPEC, METRICS, RESULT, ENVIRONMENT = "spec.yaml", "metrics.jsonl", "result.json", "environment.json"
MODEL_FILES = ("best.safetensors", "last.safetensors")
"""The model files of a run, the one that it hands out first."""
STAMP = "%Y%m%d-%H%M%S"
"""The time a run began, as its folder is called; a further run within the same second has a number behind it."""
LARGEST_RESULT = 1 << 20
"""Bytes."""
MEASURED = ("learning_rate", "seconds")
"""What a line of metrics.jsonl has beside the figures of its epoch."""


def all_runs(name: str | None = None) -> list[Path]:
    """The runs of `name`, or of all names, wherever they lie; the one that began last is first."""
    files = RUNS.glob(f"*/*/{SPEC}") if name is None else (RUNS / name).glob(f"*/{SPEC}")
    found = [file.parent for file in files if not file.parent.is_symlink()]
    found += [run for run in registered() if name in (None, name_of(run))]
    places = {run.resolve(): run for run in reversed(found)}
    return sorted(places.values(), key=lambda run: (began(run), _first_written(run).stat().st_mtime_ns), reverse=True)


def newest(name: str | None = None) -> Path | None:
    """The run that began last, of those that have a model: one killed before it had any is of no use to anybody."""
    return next((run for run in all_runs(name) if model_files(run)), None)


def name_of(run: Path) -> str:
    """What its spec calls it: the folder above says so, or else its model file."""
    if run.parent.parent == RUNS:
        return run.parent.name
    for file in model_files(run):
        with suppress(CnncliError, KeyError):
            return str(about(file).spec["name"])
    return run.name


def model_files(run: Path) -> list[Path]:
    """Those that there are, the one that the run hands out first."""
    return [run / name for name in MODEL_FILES if (run / name).is_file()]


def began(run: Path) -> datetime:
    """When a run began, in local time: its folder says so, or its environment.json, or else the time of its spec."""
    stamp = re.fullmatch(r"(\d{8}-\d{6})(-\d+)?", run.name)
    with suppress(ValueError):
        return datetime.strptime(stamp[1] if stamp else "", STAMP)
    with suppress(ValueError, TypeError, OverflowError):
        return datetime.fromisoformat(environment(run)["started"]).astimezone().replace(tzinfo=None)
    return datetime.fromtimestamp(_first_written(run).stat().st_mtime)


def _first_written(run: Path) -> Path:
    """A file that is written when a run begins and, unlike its spec, not when it is resumed."""
    return next(file for file in (run / ENVIRONMENT, run / SPEC) if file.exists() or file.name == SPEC)


def environment(run: Path) -> dict[str, Any]:
    """What is known of the beginning of a run; "started" among it."""
    return {"started": None, **_object(run / ENVIRONMENT)}


def is_held(run: Path) -> bool:
    """Whether a process is training in it; where there are no locks, nobody can tell."""
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
    """The figures of each epoch that is done; a line that is cut short, or none of JSON, ends them."""
    found: list[dict[str, Any]] = []
    with suppress(OSError, ValueError, TypeError, RecursionError), open_regular(run / METRICS) as file:
        found.extend(dict(json.loads(line)) for line in bounded_lines(file))
    return found


def result(run: Path) -> dict[str, Any]:
    """How a run ended, if it came to say so.

    "state": "finished", "diverged", "interrupted" or "failed"; then "reason", or, of a finished one, "epoch", the one
    whose weights it hands out, and "test", its figures or None.
    """
    found = _object(run / RESULT)
    return {"state": "finished", **found} if found else {}


def _object(file: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one where there is none."""
    try:
        found = json.loads(read_bounded(file, LARGEST_RESULT))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def data_digest(run: Path) -> str | None:
    """The digest of the data that a run was trained on; None where it does not say it."""
    try:
        return str(json.loads(read_bounded(run / ENVIRONMENT, LARGEST_RESULT))["data_digest"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
