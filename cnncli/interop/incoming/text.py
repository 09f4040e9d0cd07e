"""The spec of an imported network as YAML for people: defaults, and inputs that are the layer above, are left out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnncli.datasets.sources.synthetic import EDGES, FORMS, GROUNDS, LARGEST_SIDE, MOST_CHANNELS, SMALLEST_SIDE
from cnncli.graph.model import INPUT, Node
from cnncli.interop.incoming.network import Imported
from cnncli.layers.activation_functions import ActivationFunction
from cnncli.layers.declarations.declaration import Declaration
from cnncli.layers.declarations.field_types import Kind, Maybe
from cnncli.layers.declarations.list_types import PairOf
from cnncli.layers.losses import LOSSES
from cnncli.layers.meaning import Meaning
from cnncli.layers.normalization import BatchNormalization
from cnncli.spec.yaml.writer import flow, scalar, wrapped

PLACEHOLDER = "photos/"
"""The dataset of a network for which no synthetic images can be drawn."""
EPOCHS, BATCH_SIZE = 5, 32


def spec_text(found: Imported, *, name: str, weights: str, head: str, data: Mapping[str, Any]) -> str:
    """The text. `weights`: the model file, relative to the spec. `head`: a comment. `data`: keys of that section."""
    compiled = {**usual(found), **found.compiled}
    section = {**data_for(found, compiled), **data}
    lines = [
        f"# {head}",
        *(f"# {note}" for note in found.notes),
        f"name: {scalar(name)}",
        "seed: 1",
        "data:",
        *(line for key, value in section.items() for line in _data(key, value, given=key in data)),
        "model:",
        f"  input_shape: {flow(list(found.model.input_shape))}",
        f"  weights: {scalar(weights)}",
        *(freeze_lines(found.model.nodes) if "optimizer" not in found.compiled else ()),
        "  layers:",
        *node_lines(found.model.nodes),
        "compile:",
        *(f"  {key}: {flow(value)}" for key, value in compiled.items()),
        "fit:",
        f"  epochs: {EPOCHS}",
        f"  batch_size: {BATCH_SIZE}",
    ]
    return "\n".join(lines) + "\n"


def _data(key: str, value: Any, *, given: bool) -> Iterator[str]:
    if key in REMARKS and not given:
        yield f"  # {REMARKS[key]}"
    yield f"  {key}: {flow(value)}"


REMARKS = {
    "dataset": "Stands for your own data, such as a folder that has a folder of images for each class.",
    "rescale": "Factor of the pixels; use that with which the network was trained. auto divides them by 255.",
}


def freeze_lines(nodes: Sequence[Node]) -> Iterator[str]:
    """The key that keeps the statistics of batch normalizations, where there are any and other layers to train.

    With few images, those of a batch differ so much from those of all images that training begins with a setback.
    """
    kinds = {type(node.layer) for node in nodes if "trainable" in node.layer.fields}
    if BatchNormalization in kinds and len(kinds) > 1:
        yield "  # Keeps the means and variances of the images that the network was trained with."
        yield f"  freeze: [{BatchNormalization.__name__}]"


def usual(found: Imported) -> dict[str, Any]:
    """`compile` for a network whose own is not known, by what its output looks like."""
    shape, last = found.lowered.output.shape, _last_activation(found)
    if last == "sigmoid" or shape[-1] == 1:
        loss: Any = "binary_crossentropy"
        metric = "binary_accuracy"
    else:
        loss, metric = "sparse_categorical_crossentropy" if len(shape) == 3 else "categorical_crossentropy", "accuracy"
    if last not in ("sigmoid", "softmax"):
        loss = {loss: {"from_logits": True}}
    return {"optimizer": {"Adam": {"learning_rate": 0.0001}}, "loss": loss, "metrics": [metric]}


def data_for(found: Imported, compiled: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of `data`: synthetic images where there are such for the network, otherwise a folder to fill in."""
    shape, output = found.model.input_shape, found.lowered.output.shape
    classes = max(2, output[-1])
    image = len(shape) == 3 and SMALLEST_SIDE <= min(shape[:2]) <= max(shape[:2]) <= LARGEST_SIDE
    drawn = image and shape[-1] <= MOST_CHANNELS and classes <= FORMS * GROUNDS * EDGES
    masks = len(output) == 3
    values = _is_of_numbers(compiled.get("loss"))
    counts = {"classes": classes, "train": classes, "test": classes}
    synthetic = {"synthetic": {"image_shape": list(shape), **counts}}
    dataset = synthetic if drawn and not values and len(output) == 1 else PLACEHOLDER
    targets = {"targets": "masks"} if masks else {"targets": "values"} if values else {}
    return {"dataset": dataset, **targets, "rescale": "auto"}


def _is_of_numbers(loss: Any) -> bool:
    name = next(iter(loss)) if isinstance(loss, Mapping) and loss else loss
    cls = LOSSES.find(name) if isinstance(name, str) else None
    return cls is not None and cls.outputs is Meaning.NUMBERS


def _last_activation(found: Imported) -> str:
    layer = found.model.nodes[-1].layer
    activation = getattr(layer, "activation", None)
    return activation.name if isinstance(activation, ActivationFunction) else type(layer).__name__.lower()


def node_lines(nodes: Sequence[Node]) -> Iterator[str]:
    """The entries of `layers`."""
    previous = INPUT
    for node in nodes:
        inputs = {} if node.inputs == (previous,) else {"inputs": list(node.inputs)}
        arguments = {"name": node.name, **inputs, **brief(node.layer)}
        yield from wrapped(f"{type(node.layer).__name__}: {flow(arguments)}", "    - ", "        ")
        previous = node.name


def brief(declaration: Declaration) -> dict[str, Any]:
    """The arguments that are not the defaults, as plain data."""
    return {
        name: _short(field.kind, value)
        for name, field in declaration.fields.items()
        if (value := getattr(declaration, name)) != field.default or field.required
    }


def short(value: Any) -> Any:
    """A declaration as plain data: its name, with the arguments that are not the defaults."""
    if isinstance(value, Declaration):
        arguments = brief(value)
        name = value.name if isinstance(value, ActivationFunction) else type(value).__name__
        return {name: arguments} if arguments else name
    return [short(item) for item in value] if isinstance(value, tuple) else value


def _short(kind: Kind, value: Any) -> Any:
    """The value of a field; a pair of equal numbers is one of them."""
    kind = kind.kind if isinstance(kind, Maybe) else kind
    return value[0] if isinstance(kind, PairOf) and value and value[0] == value[1] else short(value)
