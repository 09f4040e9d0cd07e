"""The run directory, with all files of a training; runs are resumed from it."""

import fcntl
import json
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from cnncli.errors import CnncliError, UsageError, reason
from cnncli.hints import is_run
from cnncli.notices import warn
from cnncli.system import signals
from cnncli.system.atomic import sync, write, write_errors
from cnncli.system.folders import RUNS
from cnncli.training.runs import past_runs, registry
from cnncli.training.runs.commit import commit
from cnncli.training.runs.past_runs import (
    ENVIRONMENT,
    MEASURED,
    METRICS,
    MODEL_FILES,
    OWN_FILES,
    RESULT,
    SPEC,
    SPLITS,
    STAMP,
)
from cnncli.version import __version__

LATEST = "latest"
"""The link to the newest run of a name."""


class Run:
    """A run directory, locked by this process until it is closed or exits, so that only one training writes to it.

    `dated`: named by its start time. `made`: directories created by this process, the run's first. `begun`: it can be
    resumed. `listed`: `announce` makes it findable.
    """

    listed = True

    elsewhere = False
    """Whether another process writes it."""

    def __init__(self, path: Path, *, dated: bool = False, made: Sequence[Path] = (), begun: bool = True) -> None:
        self.path, self.dated, self.made, self.begun = path, dated, made, begun
        self.descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.descriptor)
            raise UsageError(f"{path}: another process is training in this run") from None
        except OSError as error:  # some network file systems lock no files, or no folders
            warn(f"{path} can't be locked ({reason(error)}): see to it that no other process trains in this run")

    @property
    def shown(self) -> str:
        """The path as a user may type it: relative if inside the working directory."""
        here, path = Path.cwd(), self.path.absolute()
        return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

    @property
    def spec(self) -> Path:
        """The resolved spec, itself trainable."""
        return self.path / SPEC

    @property
    def best(self) -> Path:
        """The model file with the final weights."""
        return self.path / MODEL_FILES[0]

    @property
    def last(self) -> Path:
        """The checkpoint that the run is resumed from."""
        return self.path / MODEL_FILES[1]

    @property
    def metrics(self) -> Path:
        """One line of JSON per epoch."""
        return self.path / METRICS

    @property
    def result(self) -> Path:
        """The result of the run, written at its end."""
        return self.path / RESULT

    def announce(self) -> None:
        """Mark the run as started, once there is a model, and make it findable: `latest` points to a dated run."""
        self.begun = True
        if not self.listed:
            return
        if not self.dated:
            registry.register(self.path, self.shown)
            return
        try:
            registry.make_folder()
            point(self.path)
        except OSError as error:
            warn(f"{self.path.parent / LATEST} can't be made a link to this run: {reason(error)}")

    def discard(self) -> None:
        """Remove what `create` created, unless the run has started."""
        if self.begun:
            return
        for name in OWN_FILES:
            with suppress(OSError):
                (self.path / name).unlink()
        _remove_empty(self.made)

    def conclude(self, result: Mapping[str, Any]) -> None:
        """Write the result. Raises CnncliError on failure."""
        write(self.result, _document(result))

    def close(self) -> None:
        """Release the lock on the directory."""
        signals.keep(self.discard)
        with suppress(OSError):
            os.close(self.descriptor)

    def append(self, figures: Mapping[str, float]) -> None:
        """Append the line of an epoch, also on disk. Raises CnncliError on failure."""
        try:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(_line(figures))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise CnncliError(f"{self.metrics}: can't be written: {reason(error)}") from None

    def write(self, name: str, content: bytes) -> None:
        """Atomically write the file `name` in the directory. Raises CnncliError on failure."""
        write(self.path / name, content)

    def place(self, name: str) -> Path:
        """The path of a file in the directory, whose parent exists. Raises CnncliError if links lead out of it."""
        path = self.path / name
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise CnncliError(f"{path}: can't be written: it is outside of the run directory")
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def remove(self, name: str) -> None:
        """Remove a file in the directory, if it exists. Raises CnncliError on failure."""
        path = self.place(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise CnncliError(f"{path}: can't be removed: {reason(error)}") from None

    def rewrite(self, history: Sequence[Mapping[str, float]]) -> None:
        """Rewrite metrics.jsonl from `history`, dropping later lines and keeping measured values."""
        measured = {
            str(line.get("epoch")): {key: line[key] for key in MEASURED if key in line}
            for line in past_runs.history(self.path)
        }
        lines = [{**figures, **measured.get(str(figures["epoch"]), {})} for figures in history]
        write(self.metrics, "".join(map(_line, lines)).encode())


class Elsewhere(Run):
    """The run of a process that is not the first of its group: that one has the directory, and writes it."""

    elsewhere = True

    def __init__(self) -> None:
        self.path, self.begun, self.dated, self.made = Path(os.devnull) / "run", True, False, ()

    @property
    def shown(self) -> str:
        return "RUN"

    def announce(self) -> None:
        """Nothing."""

    def conclude(self, result: Mapping[str, Any]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def append(self, figures: Mapping[str, float]) -> None:
        """Nothing."""

    def write(self, name: str, content: bytes) -> None:
        """Nothing."""

    def rewrite(self, history: Sequence[Mapping[str, float]]) -> None:
        """Nothing."""


def create(name: str, output: Path | None, spec: str, environment: Mapping[str, Any], splits: Mapping[str, Any]) -> Run:
    """Create a run directory, `output` or runs/<name>/<YYYYMMDD-HHMMSS>, and write the files known before training.

    `latest` does not point to it until `announce`. Raises UsageError if `output` is not empty; CnncliError, leaving no
    files, if something can't be written.
    """
    if output:
        check_output(output)
    above = output or RUNS / name
    made = [folder for folder in (above, *above.parents) if not folder.exists()]
    try:
        above.mkdir(parents=True, exist_ok=True)
        path = output or _dated(above)
        made = made if output else [path, *made]
        run = Run(path, dated=not output, made=made, begun=False)
    except OSError as error:
        _remove_empty(made)
        way = "" if output else "; --output puts the run elsewhere"
        raise CnncliError(f"{above}: can't be made: {error.strerror or error}{way}") from None
    signals.undo(run.discard)
    try:
        write(run.spec, spec.encode())
        write(run.path / ENVIRONMENT, _document(environment))
        write(run.path / SPLITS, _document(splits))
        run.rewrite([])
    except BaseException:
        run.discard()
        run.close()
        raise
    return run


def reopen(path: Path) -> Run:
    """Open the run at `path` to resume it. Raises UsageError if there is none."""
    path = path.resolve() if path.is_symlink() else path
    if not (path / SPEC).is_file():
        what = "is no run: it has no spec.yaml" if path.is_dir() else "no such run"
        raise UsageError(f"{path}: {what}")
    try:
        run = Run(path)
    except OSError as error:
        raise CnncliError(f"{path}: can't be opened: {reason(error)}") from None
    for left in path.rglob(".*.tmp"):  # from a process that was killed while writing
        with suppress(OSError):
            left.unlink()
    return run


def environment(threads: int, seed: int, data: str) -> dict[str, Any]:
    """The environment that the results of a run may depend on. `data`: the digest of the data."""
    checked_out = commit(Path.cwd())
    packages = ("numpy", "numba", "llvmlite", "safetensors")
    return {
        "cnncli": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "platform": platform.platform(),
        "cpu": processor_name() or platform.machine(),
        "threads": threads,
        "seed": seed,
        "data_digest": data,
        **({"commit": checked_out} if checked_out else {}),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def processor_name() -> str:
    """The name of the processor; empty if unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def check_output(output: Path) -> None:
    """Raise UsageError unless `output` is an empty folder or does not exist, CnncliError if it can't be read."""
    try:
        what = "is a file" if output.is_file() else "has something in it" if _has_something(output) else ""
    except OSError as error:
        raise CnncliError(f"{output}: can't be read: {error.strerror or error}") from None
    if what:
        way = f"; `cnncli train --resume {output}` resumes the run there" if is_run(output) else ""
        raise UsageError(f"--output must be an empty folder or a new one; {output} {what}{way}")


def _has_something(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove those that exist and that nothing else uses."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _dated(folder: Path) -> Path:
    """Create a folder named by date and time; a second run within the same second gets the suffix -2, and so on."""
    stamp = datetime.now().strftime(STAMP)
    for number in count(1):
        path = folder / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise AssertionError


def point(path: Path) -> None:
    """Atomically point `latest` to this run. Raises OSError on failure."""
    temporary = path.parent / f".{LATEST}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(path.name)
    try:
        temporary.replace(path.parent / LATEST)
    except OSError:
        temporary.unlink()
        raise
    sync(path.parent)


def _line(figures: Mapping[str, float]) -> str:
    return json.dumps(figures) + "\n"


def _document(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
