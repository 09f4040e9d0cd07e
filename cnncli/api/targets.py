"""Where models and their specs are: in a run, in a model file, or in the newest run of a spec."""

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
    """A model file, and the run it is in, if any. `implied`: nobody named the run; it is a spec's newest."""

    file: Path
    run: Path | None
    implied: bool = False


def find_spec(path: Path, overrides: Iterable[str] = ()) -> Spec:
    """The spec that `path` means: a spec file's, a run's, a model file's.

    Raises UsageError where there is nothing of the kind, CnncliError for a model file that can't be read.
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
    """The model file that `path` means: a run's, itself, that of a spec's newest run.

    `weights`: which of a run's, "best" or "last"; None is the best where it has them. Raises UsageError where there is
    none.
    """
    if path.is_dir():
        return _in(path, weights)
    if not path.exists():
        known = [*hints.runs(path.parent), *hints.models(path.parent), *hints.specs(path.parent)]
        raise UsageError(hints.missing(path, "run, model file or spec", known))
    if path.suffix in hints.SPEC_ENDINGS:
        name = load(path).name
        none = f"there is no run of '{name}' under runs/ yet: `cnncli train {path}` makes one"
        return _in(newest_run(name, none), weights, implied=True)
    if weights is not None:
        raise UsageError(f"--weights says which weights of a run to take; '{path}' is a model file")
    inside = (path.parent / "spec.yaml").is_file()
    return Target(path, path.parent if inside else None)


def newest_run(name: str | None = None, otherwise: str = NO_RUN) -> Path:
    """The newest run, of `name` or of all names. Raises UsageError where there is none: it says `otherwise`."""
    run = past_runs.newest(name)
    if run is None:
        raise UsageError(otherwise)
    return run


def no_run(path: Path) -> str:
    """What is at `path`, which is no run, and which run may have been meant."""
    if path.is_dir():
        return f"'{path}' has no spec.yaml{_near_run(path)}"
    if not path.exists():
        return hints.missing(path, "run", hints.runs(path.parent))
    if path.suffix in hints.SPEC_ENDINGS:
        run = past_runs.newest(load(path).name)
        way = f", whose newest run is '{run}'" if run else f": `cnncli train {path}` makes one"
        return f"'{path}' is a spec{way}"
    if hints.is_run(path.parent):
        return f"'{path}' is a file of the run '{path.parent}'"
    return f"'{path}' is a file: `cnncli train SPEC --weights {path}` begins at the weights of a model file"


def carried_spec(about: About, overrides: Iterable[str] = (), *, training: bool = True) -> Spec:
    """The spec that a model file carries; unless for `training`, without its callbacks and expectations.

    Raises SpecError for a spec that breaks a rule, CnncliError where there is none or it is not the file's.
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
    """The run that may have been meant by a folder that is none: the newest in it, or one beside it."""
    inside = next((run for run in hints.runs(folder) if run.parent == folder), None)
    return f"; did you mean '{inside}'?" if inside else hints.path_suggestion(folder, hints.runs(folder.parent))
