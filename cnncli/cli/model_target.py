"""What MODEL names where weights are needed: a run, a model file, or a spec (its newest run)."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnncli import hints
from cnncli.cli.target import near_run, newest_run
from cnncli.errors import CnncliError, UsageError
from cnncli.graph.model import lower
from cnncli.spec.spec import Spec, load
from cnncli.system.memory import limit, shown
from cnncli.training.runs.past_runs import MODEL_FILES, model_files, newest

if TYPE_CHECKING:
    from cnncli.graph.network import Network
    from cnncli.training.runs.checkpoint import ModelFile


weights_option = click.option(
    "--weights",
    type=click.Choice([Path(name).stem for name in MODEL_FILES]),
    help="Which weights of a run: those that it hands out, or those after its last epoch. Default: best.",
)


@dataclass(frozen=True)
class Target:
    """A model file, and the run it is in, if any."""

    file: Path
    run: Path | None


def find_model(argument: Path | None, weights: str | None = None) -> Target:
    """The model file that `argument` names; without one that of the newest run, named on standard error.

    `weights`: which of a run's, "best" or "last"; None is the best where it has them. Raises UsageError where there is
    none.
    """
    if argument is None:
        return _in(newest_run(), weights)
    if argument.is_dir():
        return _in(argument, weights)
    if not argument.exists():
        known = [*hints.runs(argument.parent), *hints.models(argument.parent), *hints.specs(argument.parent)]
        raise UsageError(hints.missing(argument, "run, model file or spec", known))
    if argument.suffix in hints.SPEC_ENDINGS:
        name = load(argument).name
        none = f"there is no run of '{name}' under runs/ yet: `cnncli train {argument}` makes one"
        return _in(newest_run(name, none), weights)
    if weights is not None:
        raise UsageError(f"--weights says which weights of a run to take; '{argument}' is a model file")
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


def network_of(spec: Spec, file: "ModelFile") -> "Network":
    """The network of a model file, with its weights. Raises CnncliError where they are not those of its spec, or its
    batches do not fit into memory.
    """
    from cnncli.graph.network import Network

    lowered = lower(spec.model)
    shapes = {parameter.name: parameter.weight.shape for parameter in lowered.parameters}
    found = {name: weight.shape for name, weight in file.weights.items()}
    if shapes != found:
        name = next(name for name in [*shapes, *found] if shapes.get(name) != found.get(name))
        raise CnncliError(f"{file.path}: the weights must be those of its spec; {name!a} is not")
    row = prod(spec.model.input_shape) + prod(lowered.output.shape) + 1
    needed = 4 * row * spec.fit.batch_size
    if needed > limit():
        raise CnncliError(
            f"{file.path}: batches of {spec.fit.batch_size:,} take {shown(needed)} of memory, of which this process "
            f"may use {shown(limit())}"
        )
    network = Network(spec.model, spec.compile.loss, batch_size=spec.fit.batch_size)
    network.load(file.weights)
    return network


def _in(run: Path, weights: str | None) -> Target:
    for file in model_files(run):
        if weights in (None, file.stem):
            return Target(file, run)
    if model_files(run):
        raise UsageError(f"'{run}' has no {weights}.safetensors; it has {model_files(run)[0].name}")
    raise UsageError(f"'{run}' is no run with a model: it has no {' and no '.join(MODEL_FILES)}{near_run(run)}")
