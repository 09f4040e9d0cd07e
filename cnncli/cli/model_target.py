"""What MODEL names where weights are needed: a run, a model file, or a spec (its newest run)."""

from dataclasses import dataclass
from pathlib import Path

from cnncli.cli.target import newest_run
from cnncli.errors import UsageError
from cnncli.spec.spec import load
from cnncli.training.runs import MODEL_FILES, model_files


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
        raise UsageError(f"{argument}: no such run, model file or spec")
    if argument.suffix in (".yaml", ".yml"):
        name = load(argument).name
        none = f"{argument}: no run of {name!r} is under runs/ yet; `cnncli train {argument}` makes one"
        return _in(newest_run(name, none))
    inside = (argument.parent / "spec.yaml").is_file()
    return Target(argument, argument.parent if inside else None)


def _in(run: Path) -> Target:
    for file in model_files(run):
        return Target(file, run)
    raise UsageError(f"{run}: has no {' and no '.join(MODEL_FILES)}: is it a run?")
