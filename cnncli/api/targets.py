"""Locating models and their specs: in a run, a model file, or the newest run of a spec."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cnncli import hints
from cnncli.errors import CnncliError, UsageError
from cnncli.spec.spec import Spec, load, parse
from cnncli.training.runs import model_file, past_runs
from cnncli.training.runs.model_file import About
from cnncli.training.runs.past_runs import MODEL_FILES, model_files

NO_RUN = "there is no run under runs/ yet; name a run, a model file or a spec"


@dataclass(frozen=True)
class Target:
    """A model file and its run, if any. `implied`: the run was not given; it is the newest of a spec."""

    file: Path
    run: Path | None
    implied: bool = False


def find_spec(path: Path, overrides: Iterable[str] = ()) -> Spec:
    """The spec of `path`: a spec file, a run or a model file.

    Raises UsageError if there is none, CnncliError if the model file can't be read.
    """
    if path.is_dir():
        if not (path / "spec.yaml").is_file():
            raise UsageError(f"'{path}' is no run: it has no spec.yaml{_near_run(path)}")
        return load(path / "spec.yaml", overrides, check_data=False)
    if not path.exists():
        known = [*hints.runs(path.parent), *hints.models(path.parent), *hints.specs(path.parent)]
        raise UsageError(hints.missing(path, "spec, run or model file", known))
    if path.suffix == hints.MODEL_ENDING:
        return carried_spec(model_file.read(path)[0], overrides)
    return load(path, overrides)


def find_model(path: Path, weights: str | None = None) -> Target:
    """The model file of `path`: a run, a model file, or a spec (its newest run).

    `weights`: "best" or "last" of a run; None: best, if available. Raises UsageError if there is no model file.
    """
    if path.is_dir():
        return _in(path, weights)
    if not path.exists():
        known = [*hints.runs(path.parent), *hints.models(path.parent), *hints.specs(path.parent)]
        raise UsageError(hints.missing(path, "run, model file or spec", known))
    if path.suffix in hints.SPEC_ENDINGS:
        name = load(path, check_weights=False).name
        none = f"there is no run of '{name}' under runs/ yet: `cnncli train {path}` makes one"
        return _in(newest_run(name, none), weights, implied=True)
    if weights is not None:
        raise UsageError(f"--weights says which weights of a run to take; '{path}' is a model file")
    inside = (path.parent / "spec.yaml").is_file()
    return Target(path, path.parent if inside else None)


def find_run(path: Path, command: str) -> Path:
    """The run directory of `path`: a run, a file in one, or a spec (its newest run).

    Raises UsageError, with what `command` needs, if there is none.
    """
    if path.is_dir() and hints.is_run(path):
        return path.parent / path.readlink() if path.is_symlink() else path  # `latest` will be another one
    if path.is_dir() or not path.exists():
        raise UsageError(f"{command} needs a run; {no_run(path)}")
    run = find_model(path).run
    if run is None:
        what = "a model file without its run" if path.suffix == hints.MODEL_ENDING else "a file"
        raise UsageError(f"{command} needs a run; '{path}' is {what}")
    return run


def newest_run(name: str | None = None, otherwise: str = NO_RUN) -> Path:
    """The newest run, of `name` or of all names. Raises UsageError with the message `otherwise` if there is none."""
    run = past_runs.newest(name)
    if run is None:
        raise UsageError(otherwise)
    return run


def no_run(path: Path) -> str:
    """Error message for `path`, which is not a run, with a suggestion."""
    if path.is_dir():
        return f"'{path}' has no spec.yaml{_near_run(path)}"
    if not path.exists():
        return hints.missing(path, "run", hints.runs(path.parent))
    if path.suffix in hints.SPEC_ENDINGS:
        run = past_runs.newest(load(path, check_weights=False).name)
        way = f", whose newest run is '{run}'" if run else f": `cnncli train {path}` makes one"
        return f"'{path}' is a spec{way}"
    if hints.is_run(path.parent):
        return f"'{path}' is a file of the run '{path.parent}'"
    return f"'{path}' is a file: `cnncli train SPEC --weights {path}` begins at the weights of a model file"


def carried_spec(about: About, overrides: Iterable[str] = (), *, training: bool = True) -> Spec:
    """The spec stored in a model file; without callbacks and expectations unless it is for `training`.

    Raises SpecError if the spec is invalid, CnncliError if it is missing or does not match the weights.
    """
    resolved = about.spec
    if not training:
        fit = resolved.get("fit")
        resolved = {**resolved, "expect": {}, "fit": {**fit, "callbacks": []} if isinstance(fit, dict) else fit}
    try:
        text = json.dumps(resolved, ensure_ascii=False)
    except RecursionError:
        raise CnncliError(f"{about.path}: spec must not be nested so deeply") from None
    spec = parse(text, f"the spec in {about.path}", overrides, base=about.path.parent, check_data=False)
    if about.epoch > spec.fit.epochs:
        raise CnncliError(
            f"{about.path}: epoch must be at most {spec.fit.epochs:,}, the epochs of its spec; received {about.epoch:,}"
        )
    return spec


def _in(run: Path, weights: str | None, *, implied: bool = False) -> Target:
    for file in model_files(run):
        if weights in (None, file.stem):
            return Target(file, run, implied)
    if model_files(run):
        raise UsageError(f"'{run}' has no {weights}.safetensors; it has {model_files(run)[0].name}")
    raise UsageError(f"'{run}' is no run with a model: it has no {' and no '.join(MODEL_FILES)}{_near_run(run)}")


def _near_run(folder: Path) -> str:
    """Suggestions of runs for a folder that is not one: the newest in it, or its siblings."""
    inside = next((run for run in hints.runs(folder) if run.parent == folder), None)
    return f"; did you mean '{inside}'?" if inside else hints.path_suggestion(folder, hints.runs(folder.parent))
