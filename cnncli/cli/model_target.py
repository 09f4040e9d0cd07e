"""What MODEL names where weights are needed: a run, a model file, or a spec (its newest run)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnncli import hints
from cnncli.cli.target import near_run, newest_run
from cnncli.errors import UsageError
from cnncli.spec.spec import load
from cnncli.training.runs import MODEL_FILES, model_files, newest

if TYPE_CHECKING:
    from cnncli.training.checkpoint import ModelFile


@dataclass(frozen=True)
class Target:
    """A model file, and the run it is in, if any."""

    file: Path
    run: Path | None


def find_model(argument: Path | None) -> Target:
    """The model file that `argument` names; without one that of the newest run, named on standard error.

    Raises UsageError where there is none.
    """
    if argument is None:
        return _in(newest_run())
    if argument.is_dir():
        return _in(argument)
    if not argument.exists():
        known = [*hints.runs(argument.parent), *hints.models(argument.parent), *hints.specs(argument.parent)]
        raise UsageError(hints.missing(argument, "run, model file or spec", known))
    if argument.suffix in hints.SPEC_ENDINGS:
        name = load(argument).name
        none = f"there is no run of '{name}' under runs/ yet: `cnncli train {argument}` makes one"
        return _in(newest_run(name, none))
    inside = (argument.parent / "spec.yaml").is_file()
    return Target(argument, argument.parent if inside else None)


def no_run(path: Path) -> str:
    """What is at `path`, which is no run, and which run may have been meant."""
    if path.is_dir():
        return f"'{path}' has no spec.yaml{near_run(path)}"
    if not path.exists():
        return hints.missing(path, "run", hints.runs(path.parent))
    if path.suffix in hints.SPEC_ENDINGS:
        run = newest(load(path).name)
        way = f", whose newest run is '{run}'" if run else f": `cnncli train {path}` makes one"
        return f"'{path}' is a spec{way}"
    if hints.is_run(path.parent):
        return f"'{path}' is a file of the run '{path.parent}'"
    return f"'{path}' is a file: `cnncli train SPEC --weights {path}` begins at the weights of a model file"


def resolved_spec(file: "ModelFile", path: Path) -> dict[str, Any]:
    """The spec in a model file, without what is about training alone. Raises UsageError where it has none."""
    try:
        resolved: dict[str, Any] = json.loads(file.metadata["spec"])
        resolved["fit"]["callbacks"] = []
        resolved["expect"] = {}
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{path}: carries no spec that can be read") from None
    return resolved


def _in(run: Path) -> Target:
    for file in model_files(run):
        return Target(file, run)
    raise UsageError(f"'{run}' is no run with a model: it has no {' and no '.join(MODEL_FILES)}{near_run(run)}")
