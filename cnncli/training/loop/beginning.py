"""How a run begins: with a new run directory, or where the checkpoint of a resumed run ends."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

from cnncli.datasets.dataset import Dataset
from cnncli.datasets.section import DataSection
from cnncli.errors import UsageError
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.layer import LAYERS
from cnncli.system import atomic
from cnncli.training.decisions.decision import KEY
from cnncli.training.events import Event, Notice
from cnncli.training.loop.loop import Trainer
from cnncli.training.loop.plan import Plan
from cnncli.training.loop.resumption import restore
from cnncli.training.runs import checkpoint, past_runs
from cnncli.training.runs.checkpoint import ModelFile
from cnncli.training.runs.run_directory import Run, create, environment
from cnncli.training.sections import CompileSection, FitSection


def new_run(plan: Plan, dataset: Dataset, output: Path | None, threads: int) -> Run:
    """Create the run directory of a training, as `run_directory.create`."""
    splits: dict[str, Any] = {name: split.document() for name, split in dataset.splits.items()}
    if dataset.skipped:
        splits["skipped"] = dict(dataset.skipped)
    if dataset.in_several_splits:
        splits["in_several_splits"] = dataset.in_several_splits
    about = {**environment(threads, plan.seed, dataset.digest), **plan.origin}
    return create(plan.name, output, plan.text, about, {"source": dataset.source, **splits})


def begin(trainer: Trainer, plan: Plan, *, resumed: bool) -> None:
    run, group = trainer.run, trainer.group
    resume = f"{group.launcher}cnncli train --resume {quote(run.shown)}"
    if not resumed:
        trainer.begin()
        trainer.interruption.resume = resume
        run.announce()
        return
    saved = group.first_does(lambda: _saved(run, plan), lambda: None)
    saved = group.from_first(saved)
    restore(trainer, saved)
    if not group.first:
        trainer.interruption.resume = resume
        return
    over = trainer.ended or trainer.limits.reached(trainer.state.step)
    if over and past_runs.result(run.path).get("state") == "finished":
        trainer.report(Notice(_nothing_left(trainer)))
    with atomic.write_errors(run.result):
        run.result.unlink(missing_ok=True)  # replaced by the result of the resumed run
    run.announce()
    atomic.write(run.spec, plan.text.encode())
    trainer.interruption.resume = resume


def _saved(run: Run, plan: Plan) -> ModelFile:
    """The checkpoint of a run. Raises UsageError if there is none, or if the spec has changed since."""
    if not run.last.exists():
        raise UsageError(
            f"{run.shown}: there is nothing to resume: it ended before {run.last.name} was written; "
            f"start again: cnncli train {quote(str(Path(run.shown) / run.spec.name))}"
        )
    saved = checkpoint.load(run.last)
    before, now = (
        _settled(saved.about.spec),
        _settled(json.loads(json.dumps(plan.resolved))),
    )
    changed = [key for key in now if now[key] != before[key]]
    if changed:
        raise UsageError(
            f"{run.spec}: a resumed run's epochs may grow, and its data may move; these are other than the run began "
            f"with: {', '.join(changed)}"
        )
    return saved


def _nothing_left(trainer: Trainer) -> str:
    """Message that a run is complete, and how to train for more epochs."""
    run, state, fit = trainer.run, trainer.state, trainer.job.fit
    if fit.max_steps is not None and state.step >= fit.max_steps:
        return f"max_steps {fit.max_steps:,} ended this run; add --max-steps {2 * fit.max_steps} to train on"
    if not state.stopped_by:
        return f"already finished ({state.epoch}/{fit.epochs}); add --epochs {2 * fit.epochs or 1} to train on"
    callbacks = " or ".join(type(callback).__name__ for callback in fit.callbacks)
    spec = quote(str(Path(run.shown) / run.spec.name))
    without = "fit.callbacks=[]" if fit.overfit_batches is None else "fit.overfit_batches=null"
    return (
        f"{callbacks} ended this run after epoch {state.epoch} of {fit.epochs}, so there is nothing to resume. "
        f"To train on from its weights: cnncli train {spec} --weights {quote(run.shown)} --set {without}"
    )


def _settled(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a spec that must not change when a run is resumed, without the keys that may.

    Keys unknown to the version of cnncli that started the run have their defaults.
    """
    free = {"data": ("dataset",), "fit": ("epochs", "max_steps", "max_time", "save_freq", "log")}
    sections = {key: resolved.get(key) for key in ("seed", "data", "model", "compile", "fit")}
    for key, cls in {"data": DataSection, "compile": CompileSection, "fit": FitSection}.items():
        with suppress(ValidationError, TypeError):  # then it differs and is reported
            sections[key] = cls(**sections[key]).plain()  # type: ignore[arg-type]
    with suppress(ValidationError, LookupError, TypeError, AttributeError, ValueError):
        model: Mapping[str, Any] = sections["model"]  # type: ignore[assignment]
        sections["model"] = {**model, "layers": [_layer(entry) for entry in model["layers"]]}
    for key, names in free.items():
        if isinstance(section := sections[key], dict):
            sections[key] = {name: value for name, value in section.items() if name not in names}
    return sections


def _layer(entry: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """An entry of a resolved spec's layers, with the defaults of arguments that it does not have."""
    ((kind, given),) = entry.items()
    arguments = {name: value for name, value in given.items() if name not in ("name", "inputs")}
    return {kind: {**given, **LAYERS.classes[kind](**arguments).plain()}}


def keep_decision(run: Run, before: Mapping[str, str], best: ModelFile, report: Callable[[Event], None]) -> None:
    """Keep the decision of the resumed run's model file if its weights are still the same; it does not fit others."""
    if KEY not in before or KEY in best.metadata:
        return
    if before.get("digest") == best.digest:
        checkpoint.save(run.best, replace(best, metadata={**best.metadata, KEY: before[KEY]}))
    else:
        advice = f"`cnncli calibrate {quote(run.shown)}` fits new ones"
        report(Notice(f"{run.best.name} has new weights, without the decisions of the last ones: {advice}"))
