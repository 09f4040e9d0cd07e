"""The runs that trainings left under runs/, found again; without NumPy."""

import fcntl
import json
import os
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from cnncli.files import bounded_lines, open_regular, read_bounded
from cnncli.folders import RUNS

SPEC, METRICS, RESULT, ENVIRONMENT = "spec.yaml", "metrics.jsonl", "result.json", "environment.json"
MODEL_FILES = ("best.safetensors", "last.safetensors")
"""The model files of a run, the one that it hands out first."""
STAMP = "%Y%m%d-%H%M%S"
"""The time a run began, as its folder is called; a further run within the same second has a number behind it."""
LARGEST_RESULT = 1 << 20
"""Bytes."""


def all_runs(name: str | None = None) -> list[Path]:
    """The runs of `name`, or of all names; the one that began last is last."""
    files = RUNS.glob(f"*/*/{SPEC}") if name is None else (RUNS / name).glob(f"*/{SPEC}")
    found = [file.parent for file in files if not file.parent.is_symlink()]
    return sorted(found, key=lambda run: (began(run), (run / SPEC).stat().st_mtime_ns))


def newest(name: str | None = None) -> Path | None:
    """The run that began last, of those that have a model: one killed before it had any is of no use to anybody."""
    return next((run for run in reversed(all_runs(name)) if model_files(run)), None)


def model_files(run: Path) -> list[Path]:
    """Those that there are, the one that the run hands out first."""
    return [run / name for name in MODEL_FILES if (run / name).is_file()]


def began(run: Path) -> datetime:
    """When a run began: its folder says so, or else the time of its spec."""
    stamp = re.fullmatch(r"(\d{8}-\d{6})(-\d+)?", run.name)
    try:
        return datetime.strptime(stamp[1] if stamp else "", STAMP)
    except ValueError:
        return datetime.fromtimestamp((run / SPEC).stat().st_mtime)


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


def result(run: Path) -> dict[str, Any] | None:
    """What a run that came to its end left: "epoch", the one whose weights it hands out, and "test", its figures or
    None; None where it has not come there.
    """
    try:
        found = json.loads(read_bounded(run / RESULT, LARGEST_RESULT))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def data_digest(run: Path) -> str | None:
    """The digest of the data that a run was trained on; None where it does not say it."""
    try:
        return str(json.loads(read_bounded(run / ENVIRONMENT, LARGEST_RESULT))["data_digest"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
