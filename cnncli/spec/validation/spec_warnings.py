"""Warnings about specs that are valid but probably not intended."""

from collections.abc import Sequence

from cnncli.datasets.describe import Description
from cnncli.datasets.rescale import rescaled_again
from cnncli.datasets.section import DataSection
from cnncli.graph.model import Lowered, Model
from cnncli.layers.declarations.declaration import snake_case
from cnncli.layers.losses import LOSSES, Loss
from cnncli.layers.merging import MERGES
from cnncli.layers.regularizers import L1L2
from cnncli.ops.elementwise import Activation
from cnncli.ops.ir import Value
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Place
from cnncli.training.metrics.metrics import Accuracy, BinaryAccuracy, Metric


def warn_about_output(lowered: Lowered, loss: Loss, last: Place, place: Place, problems: Problems) -> None:
    """Warn if a cross-entropy does not match the output's activation.

    `last`, `place`: the places of the last layer and of the loss.
    """
    name, wanted = snake_case(type(loss).__name__), loss.activation
    found = loss.logits_behind(lowered.builder, lowered.output)
    if wanted == "linear":
        return
    if found is not None and loss.of_logits:
        problems.warn(place, f"from_logits has no effect: the logits before the {found.activation} are used anyway")
    if found is not None and found.activation != wanted:
        instead = _loss_of(found.activation)
        way_out = f"use {wanted}{f', or {instead}' if instead else ''}"
        problems.warn(
            last,
            f"as in Keras, {name} is computed from the {wanted} of the logits before this {found.activation}, although "
            f"the model outputs the {found.activation}: {way_out}",
        )
    if found is None and loss.of_logits and _are_probabilities(lowered):
        problems.warn(place, "from_logits expects logits, but the output comes from a softmax or a sigmoid")
    if found is None and not loss.of_logits and not _are_probabilities(lowered):
        problems.warn(
            last,
            f"{name} expects probabilities, but the output comes from neither a softmax nor a sigmoid: "
            f"use `activation: {wanted}`, or `from_logits: true` for the loss",
        )


def _loss_of(activation: str) -> str:
    """The first loss that goes with an activation; empty where there is none."""
    fit = (name for name, cls in LOSSES.classes.items() if cls.logits and cls.logits.activation == activation)
    return snake_case(next(fit, ""))


def _are_probabilities(lowered: Lowered) -> bool:
    """Whether the output is a softmax or a sigmoid, possibly followed by operations without weights."""
    makers = {value: call for call in lowered.builder.calls for value in call.outputs}
    weights = {parameter.value for parameter in lowered.parameters}
    seen: set[Value] = set()
    todo = [lowered.output]
    while todo:
        value = todo.pop()
        call = makers.get(value)
        if value in lowered.builder.logits or (call is not None and call.op == Activation("hard_sigmoid")):
            return True
        if call is not None and value not in seen and weights.isdisjoint(call.inputs):
            todo += call.inputs
        seen.add(value)
    return False


def warn_about_metrics(
    lowered: Lowered, loss: Loss, metrics: Sequence[Metric], places: Sequence[Place], problems: Problems
) -> None:
    """Warn if a metric compares logits to 0.5 like probabilities. `places`: the places of the metrics."""
    if not loss.of_logits or lowered.output in lowered.builder.logits:
        return
    default = BinaryAccuracy()
    single = lowered.output.shape[-1:] == (1,)
    for metric, place in zip(metrics, places, strict=True):
        if metric == default or (single and isinstance(metric, Accuracy)):
            problems.warn(
                place,
                f"{metric.names[0]} compares logits to {default.threshold}, as in Keras, but a probability of 0.5 is a "
                "logit of 0: use `binary_accuracy: {threshold: 0}`",
            )


def warn_about_rescaling(
    model: Model, data: DataSection, description: Description, places: dict[str, Place], problems: Problems
) -> None:
    """Warn if uint8 images are divided by 255 before the model and rescaled again in it."""
    node = rescaled_again(model) if data.rescale == "auto" and description.dtype == "uint8" else None
    if node is not None:
        kind = type(node.layer).__name__
        problems.warn(
            places[node.name],
            f"images are divided by 255 before the model and rescaled again by this {kind}, because it is not the "
            "first layer on every path: set `rescale: 1` under `data` to feed them unscaled, or `rescale: 1/255` "
            "to keep both",
        )


def warn_about_merges(model: Model, places: dict[str, Place], problems: Problems) -> None:
    """Warn about a merge of a single input, which Keras accepts and which returns it."""
    for node in model.nodes:
        if isinstance(node.layer, MERGES) and len(node.inputs) == 1:
            problems.warn(
                places[node.name],
                f"{type(node.layer).__name__} of one input returns it: list its inputs, as in "
                "`inputs: [previous, NAME]`",
            )


def warn_about_regularizers(model: Model, places: dict[str, Place], problems: Problems) -> None:
    """Warn about L1L2 without arguments, whose default is no penalty."""
    for node in model.nodes:
        for key, value in node.layer.settings().items():
            if value == L1L2():
                problems.warn(
                    places[node.name],
                    f"{key} L1L2 has no effect, because l1 and l2 default to 0, as in Keras: "
                    "set them, as in {L1L2: {l1: 0.01, l2: 0.01}}",
                )
