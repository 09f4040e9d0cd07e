"""Which spec a SPEC or MODEL argument means: a spec file, a run directory, a model file, or the newest run."""

import json
from collections.abc import Iterable
from pathlib import Path

from cnncli import hints
from cnncli.errors import CnncliError, UsageError
from cnncli.report.terminal.output import echo_lines
from cnncli.spec.spec import Spec, load, parse
from cnncli.training.runs import model_file, past_runs
from cnncli.training.runs.model_file import About

NO_RUN = "there is no run under runs/ yet; name a run, a model file or a spec"


def find_spec(argument: str | None, overrides: Iterable[str] = ()) -> Spec:
    """The spec that `argument` means; without one, that of the newest run, which is named on standard error.

    Raises UsageError where there is nothing of the kind, CnncliError for a model file that can't be read.
    """
    if argument is None:
        return load(newest_run() / "spec.yaml", overrides, check_data=False)
    path = Path(argument)
    if path.is_dir():
        if not (path / "spec.yaml").is_file():
            raise UsageError(f"'{path}' is no run: it has no spec.yaml{near_run(path)}")
        return load(path / "spec.yaml", overrides, check_data=False)
    if not path.exists():
        known = [*hints.runs(path.parent), *hints.models(path.parent), *hints.specs(path.parent)]
        raise UsageError(hints.missing(path, "spec, run or model file", known))
    if path.suffix == hints.MODEL_ENDING:
        return carried_spec(model_file.read(path)[0], overrides)
    return load(path, overrides)


def near_run(folder: Path) -> str:
    """The run that may have been meant by a folder that is none: the newest in it, or one beside it."""
    inside = next((run for run in hints.runs(folder) if run.parent == folder), None)
    return f"; did you mean '{inside}'?" if inside else hints.path_suggestion(folder, hints.runs(folder.parent))


def newest_run(name: str | None = None, otherwise: str = NO_RUN) -> Path:
    """The newest run, of `name` or of all names, which is named on standard error.

    Raises UsageError where there is none: it says `otherwise`.
    """
    run = past_runs.newest(name)
    if run is None:
        raise UsageError(otherwise)
    echo_lines([f"model: {run}"], err=True)
    return run


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
