"""The report of runs as one HTML page."""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cnncli.api.model import Model
from cnncli.api.runs import Run
from cnncli.api.targets import find_model, find_run, find_spec
from cnncli.api.training import PathLike, warnings_only, why_unjudged
from cnncli.errors import CnncliError, UsageError, reason
from cnncli.layers.meaning import Meaning
from cnncli.system import atomic
from cnncli.system.files import read_bounded
from cnncli.training.events import OnEvent, Progress, notices_to
from cnncli.training.runs import past_runs
from cnncli.training.runs.facts import facts
from cnncli.version import __version__

if TYPE_CHECKING:
    from cnncli.datasets.dataset import Dataset
    from cnncli.report.html.trained import Trained
    from cnncli.spec.spec import Spec
    from cnncli.training.metrics.evaluation_record import Evaluation
    from cnncli.training.metrics.examples import Examples

T = TypeVar("T")
NAME = "report.html"
MOST_RUNS = 8
"""Side by side: as many as there are colors."""


def write_report(
    runs: "PathLike | Run | Sequence[PathLike | Run]",
    path: PathLike | None = None,
    *,
    threads: int | None = None,
    offline: bool | None = None,
    on_event: OnEvent = warnings_only,
) -> Path:
    """Write a report of a run, or of up to 8 side by side, as one HTML page that needs no other files.

    runs: run directories, specs (their newest runs) or results of `train`. path: the file; default: report.html in the
    run directory, or of several runs in the working directory. The rest is as in `evaluate`. Returns the path.

    What can't be read, such as data that were moved, is left out, and the page says so. Raises UsageError if there is
    no such run, CnncliError if the page can't be written.
    """
    listed = [runs] if isinstance(runs, str | os.PathLike | Run) else runs
    places = [find_run(run.path if isinstance(run, Run) else Path(run), "report") for run in listed]
    if not places:
        raise UsageError("a report needs at least one run; received none")
    if len(places) > MOST_RUNS:
        raise UsageError(f"a report compares at most {MOST_RUNS} runs; received {len(places)}")
    target = Path(path) if path is not None else places[0] / NAME if len(places) == 1 else Path(NAME)
    if not target.parent.is_dir():
        raise UsageError(f"{target}: can't be written: there is no directory '{target.parent}'")
    with notices_to(on_event):
        found = [_Reader(place, threads, on_event, offline=offline).read() for place in places]
    on_event(Progress("writing the report …"))
    from cnncli.report.html.make import html

    made = f"Made by cnncli {__version__}, {datetime.now():%Y-%m-%d %H:%M}"
    atomic.write(target, html(found, made).encode())
    on_event(Progress(""))
    return target


def _numbers(figures: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if isinstance(value, int | float)}


class _Reader:
    """Reads what there is of a run. What can't be read is a sentence in `missing`."""

    def __init__(self, run: Path, threads: int | None, on_event: OnEvent, *, offline: bool | None) -> None:
        self.run, self.threads, self.on_event, self.offline = run, threads, on_event, offline
        self.missing: list[str] = []

    def read(self) -> "Trained":
        """All there is."""
        from cnncli.report.html.trained import Trained

        run, environment = self.run, past_runs.environment(self.run)
        text = self._try(
            "", lambda: read_bounded(run / past_runs.SPEC, past_runs.LARGEST_RESULT).decode(errors="replace")
        )
        spec = self._try("The spec can't be read", lambda: find_spec(run))
        model = self._try("There is no model to evaluate", lambda: Model(find_model(run), threads=self.threads))
        dataset, evaluation, examples = self._judged(model) if model else (None, None, None)
        return Trained(
            facts(run),
            text or "",
            [_numbers(line) for line in past_runs.history(run) if isinstance(line.get("epoch"), int)],
            environment,
            past_runs.sizes(run),
            spec,
            model.file.digest if model else "",
            self.missing,
            why_unjudged(spec.fit.epochs, environment.get("spec_epochs")) if spec else "",
            dataset,
            evaluation,
            examples,
        )

    def _judged(self, model: Model) -> "tuple[Dataset | None, Evaluation | None, Examples | None]":
        """The data, and the evaluation on them."""
        read = self._try(
            "The data can't be read", lambda: model.read(None, offline=self.offline, on_event=self.on_event)
        )
        if read is None:
            return None, None, None
        spec, dataset = read
        digest = past_runs.data_digest(self.run)
        if digest not in (None, dataset.digest):
            self.missing.append(
                "The data have changed since the training; the evaluation is on the data as they are now"
            )
        found = self._try("There is no evaluation", lambda: self._evaluation(model, spec, dataset))
        return dataset, *(found or (None, None))

    def _evaluation(self, model: Model, spec: "Spec", dataset: "Dataset") -> "tuple[Evaluation, Examples | None]":
        from cnncli.training.metrics.examples import examples

        self.on_event(Progress(f"evaluating {self.run} …"))
        evaluation = model.examine(spec, dataset)
        if model.meaning not in (Meaning.MASK, Meaning.IMAGE):
            return evaluation, None
        _, feed = model.hold_out(dataset, model.network)
        return evaluation, examples(model.network, feed, masks=model.meaning is Meaning.MASK)

    def _try(self, otherwise: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except CnncliError as error:
            why = str(error)
        except OSError as error:
            why = reason(error)
        if otherwise:
            self.missing.append(f"{otherwise}: {why}")
        return None
