"""From a draft to a model with weights: every layer, shape and array is validated."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cnncli.errors import CnncliError, DeclarationError
from cnncli.graph.model import Lowered, Model, Node, lower
from cnncli.interop.incoming.draft import Array, Draft, Entry, Names, Refusals
from cnncli.layers.core import Flatten
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.layer import Layer
from cnncli.layers.vocabulary import layers

NUMBERS = {"loss": "mean_squared_error", "metrics": ["mean_absolute_error"]}
"""`compile` for an output that is neither of classes nor of pixels."""


@dataclass(frozen=True)
class Imported:
    """A validated network: its weights by name, float32, in model order; and what the draft said beside it."""

    model: Model
    lowered: Lowered
    weights: Mapping[str, Array]
    compiled: Mapping[str, Any]
    notes: tuple[str, ...]
    data: Mapping[str, Any] = field(default_factory=dict)


def imported(path: object, draft: Draft, refusals: Refusals) -> Imported:
    """The network of a draft. Raises UsageError that lists what can't be imported, together with earlier `refusals`;
    CnncliError where weights do not fit the layers.
    """
    nodes = [node for entry in draft.entries if (node := _node(entry, refusals)) is not None]
    refusals.raise_any(path)
    if not nodes:
        raise CnncliError(f"{path}: the network has no layers")
    model, lowered = _lowered(path, Model(draft.input_shape, tuple(nodes)), refusals)
    given = {f"{entry.name}/{own}": array for entry in draft.entries for own, array in entry.weights.items()}
    weights = {}
    for parameter in lowered.parameters:
        array = given.pop(parameter.name, None)
        if array is None:
            raise CnncliError(f"{path}: the weight {parameter.name} is missing")
        weights[parameter.name] = finite(path, parameter.name, array, parameter.weight.shape)
    if given:
        raise CnncliError(f"{path}: the layer of the weight {next(iter(given))} has no such weight")
    return Imported(model, lowered, weights, draft.compiled, tuple(draft.notes), draft.data)


def with_output(found: Imported) -> Imported:
    """The network with an output that a spec's may have: a vector, or one for each pixel; another is flattened."""
    output, image = found.lowered.output.shape, found.model.input_shape
    if len(output) == 1 or (len(output) == len(image) == 3 and output[:2] == image[:2]):
        return found
    nodes = found.model.nodes
    last = Node(Names({node.name for node in nodes}).unique("flattened"), Flatten(), (nodes[-1].name,))
    model = Model(image, (*nodes, last))
    note = f"The output, {list(output)}, is flattened: it is to be a vector, or an image of the input's size."
    compiled = found.compiled or NUMBERS
    return replace(found, model=model, lowered=lower(model), compiled=compiled, notes=(*found.notes, note))


def _lowered(path: object, model: Model, refusals: Refusals) -> tuple[Model, Lowered]:
    kinds = {node.name: type(node.layer).__name__ for node in model.nodes}
    lowered = lower(model, report=lambda node, error: refusals.add(node.name, kinds[node.name], str(error)))
    refusals.raise_any(path)
    return model, lowered


def finite(path: object, name: str, array: Array, shape: tuple[int, ...]) -> Array:
    """A weight as contiguous float32. Raises CnncliError for another shape, and for what is not finite."""
    if array.shape != shape:
        raise CnncliError(f"{path}: the weight {name} must have shape {shape}; the file has {array.shape}")
    with np.errstate(over="ignore"):
        weight = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(weight).all():
        raise CnncliError(f"{path}: the weight {name} must hold finite numbers; it holds others")
    return weight


def _node(entry: Entry, refusals: Refusals) -> Node | None:
    cls = layers().get(entry.kind)
    if cls is None:
        refusals.add(entry.name, entry.kind, "there is no such layer")
        return None
    layer = _declared(cls, entry, refusals)
    return None if layer is None else Node(entry.name, layer, entry.inputs)


def _declared(cls: type[Layer], entry: Entry, refusals: Refusals) -> Layer | None:
    try:
        return cls(**entry.arguments)
    except (ValidationError, DeclarationError) as error:
        refusals.add(entry.name, entry.kind, str(error))
        return None
