"""What the logger MLflow writes of a training."""

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from math import isfinite
from pathlib import Path

from cnncli.system import atomic
from cnncli.system.files import read_bounded
from cnncli.training.events import BatchDone, Ended, EpochDone, RunBegins
from cnncli.training.loggers.logger import Log
from cnncli.training.loggers.mlflow_address import Web, destination
from cnncli.training.loggers.mlflow_store import Point, Status, Store
from cnncli.training.loggers.outbox import Outbox
from cnncli.training.loggers.update_freq import BATCH, is_due
from cnncli.training.runs.past_runs import MODEL_FILES, SPEC, Ending

NOTE, LARGEST_NOTE = "mlflow.json", 1 << 16
"""The file of a run directory that says which run of MLflow it is."""
EXPERIMENT = "MLFLOW_EXPERIMENT_NAME"
LONGEST_VALUE = 500
"""Characters of a parameter that every version of MLflow takes."""
ODD = re.compile(r"[^\w .-]|^\.+$", re.ASCII)
"""What the name of a metric must not have, as one of MLflow's and as that of a file."""
STATUSES: Mapping[Ending, Status] = {
    "finished": "FINISHED",
    "interrupted": "KILLED",
    "pruned": "KILLED",
    "diverged": "FAILED",
    "failed": "FAILED",
}


class Tracked(Log):
    """A run of MLflow. What goes to a server is sent by a thread; `warn` tells what could not be sent."""

    def __init__(
        self,
        warn: Callable[[str], None],
        *,
        tracking_uri: str | None,
        experiment: str | None,
        run_name: str | None,
        update_freq: str | int,
        log_model: bool,
    ) -> None:
        self.warn, self.tracking_uri, self.experiment, self.run_name = warn, tracking_uri, experiment, run_name
        self.update_freq, self.log_model = update_freq, log_model
        self.reads_batches = update_freq != "epoch"
        self.outbox: Outbox | None = None
        self.store: Store | None = None

    def begin(self, event: RunBegins) -> None:
        self.run, self.inside = event.run, event.inside
        store = _store(destination(self.tracking_uri, os.environ))
        experiment = self.experiment or os.environ.get(EXPERIMENT) or event.name
        start = partial(_start, store, event.run, experiment, self.run_name or event.run.name)
        if store.remote:
            self.outbox = Outbox(start, store.log)
        else:
            start()
        self.store = store
        values = {name: str(value)[:LONGEST_VALUE] for name, value in event.hyperparameters.items()}
        self._do(partial(self.store.describe, values))
        for figures in event.history_with_rates:
            self._points("", figures, int(figures["epoch"]) - 1)

    def batch(self, event: BatchDone) -> None:
        if is_due(self.update_freq, event.step):
            figures = {**event.sums.figures(), "learning_rate": self.inside.learning_rate}
            self._points(BATCH, figures, event.step)

    def epoch(self, event: EpochDone) -> None:
        rate = {} if event.learning_rate is None else {"learning_rate": event.learning_rate}
        self._points("", {**event.figures, **rate}, int(event.figures["epoch"]) - 1)
        self._tell()

    def end(self, event: Ended) -> None:
        self._points("test_", event.test or {}, max(0, event.epoch - 1))
        for name, content in event.pictures().items():
            self._artifact(name, content)
        if self.log_model:
            self._artifact(MODEL_FILES[0], self.run / MODEL_FILES[0])

    def close(self, ending: Ending) -> None:
        if self.store is None:
            return
        self._artifact(SPEC, self.run / SPEC)
        self._do(partial(self.store.finish, STATUSES[ending], _now()))
        if self.outbox is not None:
            self.outbox.close()
        self._tell()

    def _points(self, prefix: str, figures: Mapping[str, float], step: int) -> None:
        assert self.store is not None  # see begin
        now = _now()
        finite = {name: float(value) for name, value in figures.items() if name != "epoch" and isfinite(value)}
        points = [Point(prefix + ODD.sub("_", name), value, step, now) for name, value in finite.items()]
        if self.outbox is None:
            self.store.log(points)
        else:
            self.outbox.put(points)

    def _artifact(self, name: str, content: bytes | Path) -> None:
        assert self.store is not None  # see begin
        self._do(partial(self.store.artifact, name, content))

    def _do(self, job: Callable[[], None]) -> None:
        if self.outbox is None:
            job()
        else:
            self.outbox.put(job)

    def _tell(self) -> None:
        if self.outbox is not None and self.outbox.trouble:
            self.warn(self.outbox.trouble)


def _store(place: Path | Web) -> Store:
    if isinstance(place, Web):
        from cnncli.training.loggers.mlflow_server import Server

        return Server(place)
    from cnncli.training.loggers.mlflow_folder import Folder

    return Folder(place)


def _start(store: Store, run: Path, experiment: str, name: str) -> None:
    """Go on with the run that the run directory notes, if this store has it, or else make one and note it."""
    note = _read_note(run / NOTE)
    known = note.get("run_id", "") if note.get("tracking") == store.shown else ""
    if not re.fullmatch("[0-9a-f]{32}", known) or not store.resume(known):
        made = {"tracking": store.shown, "run_id": store.start(experiment, name, _now())}
        atomic.write(run / NOTE, (json.dumps(made, indent=2) + "\n").encode())


def _read_note(path: Path) -> dict[str, str]:
    try:
        found = json.loads(read_bounded(path, LARGEST_NOTE))
    except (OSError, ValueError, RecursionError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def _now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
