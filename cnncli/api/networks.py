"""Networks with the weights of a model file."""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from cnncli.errors import CnncliError
from cnncli.graph.model import Lowered, lower
from cnncli.spec.spec import Spec
from cnncli.system.memory import limit, shown

if TYPE_CHECKING:
    from cnncli.graph.network import Network
    from cnncli.training.runs.checkpoint import ModelFile
    from cnncli.training.tta import View


def network(file: "ModelFile", spec: Spec, threads: int, views: "Sequence[View] | None" = None) -> "Network":
    """A network with the weights of the file; one that averages over views, if they are given.

    Raises CnncliError if they do not match the spec, or if batches do not fit in memory.
    """
    _check_memory(file, spec, check(file, spec))
    from cnncli.graph.network import Network
    from cnncli.training.tta import AveragedNetwork

    about, batch, policy = (spec.model, spec.compile.loss), spec.fit.batch_size, spec.compile.dtype_policy
    if views is None:
        found = Network(*about, batch_size=batch, policy=policy, threads=threads)
    else:
        found = AveragedNetwork(views, *about, batch_size=batch, policy=policy, threads=threads)
    found.load(file.weights)
    return found


def check(file: "ModelFile", spec: Spec) -> Lowered:
    """Return the model of the spec as operations. Raises CnncliError if the weights are not those of the spec."""
    lowered = lower(spec.model)
    shapes = {parameter.name: parameter.weight.shape for parameter in lowered.parameters}
    found = {name: weight.shape for name, weight in file.weights.items()}
    if shapes != found:
        name = next(name for name in [*shapes, *found] if shapes.get(name) != found.get(name))
        raise CnncliError(f"{file.path}: the weights must be those of its spec; {name!a} is not")
    return lowered


def _check_memory(file: "ModelFile", spec: Spec, lowered: Lowered) -> None:
    row = prod(spec.model.input_shape) + prod(lowered.output.shape) + 1
    needed = 4 * row * spec.fit.batch_size
    if needed > limit():
        raise CnncliError(
            f"{file.path}: batches of {spec.fit.batch_size:,} take {shown(needed)} of memory, of which this "
            f"process may use {shown(limit())}"
        )
