"""What a spec may say and rarely means: told as warnings, with their places."""

from collections.abc import Sequence

from cnncli.datasets.describe import Description
from cnncli.datasets.rescale import rescaled_again
from cnncli.datasets.section import DataSection
from cnncli.graph.model import Lowered, Model
from cnncli.layers.declarations.declaration import snake_case
from cnncli.layers.losses import LOSSES, Loss
from cnncli.layers.regularizers import L1L2
from cnncli.ops.elementwise import Activation
from cnncli.ops.ir import Value
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Place
from cnncli.training.metrics.metrics import Accuracy, BinaryAccuracy, Metric


def doubt_output(lowered: Lowered, loss: Loss, last: Place, place: Place, problems: Problems) -> None:
    """A cross-entropy of what is no probability, or of one that another activation made.

    `last`, `place`: where the last layer and the loss stand.
    """
    name, wanted = snake_case(type(loss).__name__), loss.activation
    found = lowered.builder.logits.get(lowered.output)
    if wanted == "linear":
        return
    if found is not None and loss.of_logits:
        problems.warn(place, f"from_logits is of no effect: the logits behind the {found.activation} are taken anyway")
    if found is not None and found.activation != wanted:
        instead = _loss_of(found.activation)
        way_out = f"use {wanted}{f', or {instead}' if instead else ''}"
        problems.warn(
            last,
            f"{name} is computed, as in Keras, of the {wanted} of the logits behind this {found.activation}, while the "
            f"model goes on giving the {found.activation}: {way_out}",
        )
    if found is None and loss.of_logits and _are_probabilities(lowered):
        problems.warn(place, "from_logits takes the output for logits; it comes from a softmax or a sigmoid")
    if found is None and not loss.of_logits and not _are_probabilities(lowered):
        problems.warn(
            last,
            f"{name} takes probabilities, and the output is neither a softmax nor a sigmoid: "
            f"use `activation: {wanted}`, or `from_logits: true` for the loss",
        )


def _loss_of(activation: str) -> str:
    """The first loss that goes with an activation; empty where there is none."""
    fit = (name for name, cls in LOSSES.classes.items() if cls.logits and cls.logits.activation == activation)
    return snake_case(next(fit, ""))


def _are_probabilities(lowered: Lowered) -> bool:
    """Whether the output comes from a softmax or a sigmoid, by whatever has no weights."""
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


def doubt_metrics(
    lowered: Lowered, loss: Loss, metrics: Sequence[Metric], places: Sequence[Place], problems: Problems
) -> None:
    """Logits, which are compared with a half as if they were probabilities. `places`: where the metrics stand."""
    if not loss.of_logits or lowered.output in lowered.builder.logits:
        return
    default = BinaryAccuracy()
    single = lowered.output.shape[-1:] == (1,)
    for metric, place in zip(metrics, places, strict=True):
        if metric == default or (single and isinstance(metric, Accuracy)):
            problems.warn(
                place,
                f"{metric.names[0]} compares logits with {default.threshold}, as in Keras; a probability of a half is "
                "a logit of 0: use `binary_accuracy: {threshold: 0}`",
            )


def doubt_rescaling(
    model: Model, data: DataSection, description: Description, places: dict[str, Place], problems: Problems
) -> None:
    """Bytes that are divided by 255 before the model, and again in it."""
    node = rescaled_again(model) if data.rescale == "auto" and description.dtype == "uint8" else None
    if node is not None:
        kind = type(node.layer).__name__
        problems.warn(
            places[node.name],
            f"images are divided by 255 before the model, since not all of it begins with this {kind}, and scaled here "
            "again: say `rescale: 1` under `data` to feed them as they are, or `rescale: 1/255` for both",
        )


def doubt_regularizers(model: Model, places: dict[str, Place], problems: Problems) -> None:
    """The bare name of a regularizer that defaults to no penalty."""
    for node in model.nodes:
        for key, value in node.layer.settings().items():
            if value == L1L2():
                problems.warn(
                    places[node.name],
                    f"{key} L1L2 is no penalty, since l1 and l2 default to 0, as in Keras: "
                    "say how much, as in {L1L2: {l1: 0.01, l2: 0.01}}",
                )
