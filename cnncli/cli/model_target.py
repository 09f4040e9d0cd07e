"""What MODEL names where weights are needed: a run, a model file, or a spec (its newest run)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnncli.errors import UsageError
from cnncli.spec.spec import load

if TYPE_CHECKING:
    from cnncli.training.checkpoint import ModelFile

RUNS = Path("runs")
MODEL_FILES = ("best.safetensors", "last.safetensors")


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
        run = newest(RUNS.glob("*/*"))
        if run is None:
            raise UsageError("there is no run under runs/ yet; name a run, a model file or a spec")
        click.echo(f"model: {run}", err=True)
        return _in(run)
    if argument.is_dir():
        return _in(argument)
    if not argument.exists():
        raise UsageError(f"{argument}: no such run, model file or spec")
    if argument.suffix in (".yaml", ".yml"):
        name = load(argument).name
        run = newest((RUNS / name).glob("*"))
        if run is None:
            raise UsageError(f"{argument}: no run of {name!r} is under runs/ yet; `cnncli train {argument}` makes one")
        click.echo(f"model: {run}", err=True)
        return _in(run)
    inside = (argument.parent / "spec.yaml").is_file()
    return Target(argument, argument.parent if inside else None)


def resolved_spec(file: "ModelFile", path: Path) -> dict[str, Any]:
    """The spec in a model file, without what is about training alone. Raises UsageError where it has none."""
    try:
        resolved: dict[str, Any] = json.loads(file.metadata["spec"])
        resolved["fit"]["callbacks"] = []
        resolved["expect"] = {}
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{path}: carries no spec that can be read") from None
    return resolved


def newest(folders: Iterable[Path]) -> Path | None:
    """The run that began last, of those that have a model."""
    runs = [path for path in folders if not path.is_symlink() and (path / "spec.yaml").is_file() and _models(path)]
    return max(runs, key=lambda run: (run.name[:15], (run / "spec.yaml").stat().st_mtime_ns), default=None)


def _models(run: Path) -> list[Path]:
    """The model files of a run, the one that it hands out first."""
    return [run / name for name in MODEL_FILES if (run / name).is_file()]


def _in(run: Path) -> Target:
    for file in _models(run):
        return Target(file, run)
    raise UsageError(f"{run}: has no {' and no '.join(MODEL_FILES)}: is it a run?")
