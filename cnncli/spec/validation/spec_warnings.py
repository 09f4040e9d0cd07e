"""Warnings about specs that are valid but probably not intended."""

from collections.abc import Sequence

from cnncli.datasets.describe import Description
from cnncli.datasets.rescale import rescaled_again
from cnncli.datasets.section import DataSection
from cnncli.graph.model import Lowered, Model
from cnncli.layers.declarations.declaration import snake_case
from cnncli.layers.loss import Loss
from cnncli.layers.losses import LOSSES
from cnncli.layers.merging import MERGES
from cnncli.layers.regularizers import L1L2
from cnncli.ops.elementwise import Activation
from cnncli.ops.ir import Value
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Place
from cnncli.training.callbacks.early_stopping import EarlyStopping
from cnncli.training.metrics.metrics import Accuracy, BinaryAccuracy, Metric
from cnncli.training.optimizers.optimizers import Optimizer
from cnncli.training.optimizers.schedules import CosineDecay
from cnncli.training.phases import Unfreezing
from cnncli.training.sections import FitSection


def warn_about_output(lowered: Lowered, loss: Loss, last: Place, place: Place, problems: Problems) -> None:
    """Warn if a cross-entropy does not match the output's activation.

    `last`, `place`: the places of the last layer and of the loss.
    """
    for part in loss.parts:
        _warn_about_part(lowered, part, last, place, problems)


def _warn_about_part(lowered: Lowered, loss: Loss, last: Place, place: Place, problems: Problems) -> None:
    name, wanted = loss.called, loss.activation
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
        other = ", or `from_logits: true` for the loss" if "from_logits" in loss.fields else ""
        problems.warn(
            last,
            f"{name} expects probabilities, but the output comes from neither a softmax nor a sigmoid: "
            f"use `activation: {wanted}`{other}",
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
    """Warn if a metric takes logits for probabilities, or compares them to 0.5. `places`: the places of the metrics."""
    if not loss.of_logits or lowered.output in lowered.builder.logits:
        return
    half = BinaryAccuracy().threshold
    single = lowered.output.shape[-1:] == (1,)
    for metric, place in zip(metrics, places, strict=True):
        at_half = isinstance(metric, BinaryAccuracy) and metric.threshold == half
        if at_half or (single and isinstance(metric, Accuracy)):
            problems.warn(
                place,
                f"{metric.title} compares logits to {half}, as in Keras, but a probability of 0.5 is a "
                "logit of 0: use `binary_accuracy: {threshold: 0}`",
            )
        elif metric.of_probabilities:
            way = "set its `from_logits`" if "from_logits" in metric.fields else f"use `activation: {loss.activation}`"
            problems.warn(place, f"{metric.title} takes the outputs for probabilities, but they are logits: {way}")


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


def warn_about_stopping(
    fit: FitSection, unfreezing: Unfreezing | None, places: Sequence[Place], problems: Problems
) -> None:
    """Warn about an EarlyStopping that may end the training before frozen layers train. `places`: of the callbacks."""
    for callback, place in zip(fit.callbacks, places, strict=True):
        if unfreezing is None or not isinstance(callback, EarlyStopping):
            continue
        first, last = max(fit.initial_epoch, callback.start_from_epoch), unfreezing.epoch - 1
        seen = fit.validations(first, last) if callback.monitor.startswith("val_") else last - first
        if seen >= callback.fewest:
            problems.warn(
                place,
                f"EarlyStopping may end the training before epoch {unfreezing.epoch}, from which on all layers train: "
                f"`start_from_epoch: {unfreezing.epoch - 1}`",
            )


def warn_about_epochs(fit: FitSection, description: Description | None, place: Place, problems: Problems) -> None:
    """Warn about epochs of which none is trained, or validated where there are data for it. `place`: of the section."""
    if fit.initial_epoch >= fit.epochs > 0:
        rule = f"initial_epoch {fit.initial_epoch} is not below epochs, {fit.epochs}"
        problems.warn(place, f"nothing is trained: {rule}")
    validated = fit.validations(fit.initial_epoch, fit.epochs)
    if description is not None and "validation" in description.samples and fit.trained_epochs and not validated:
        problems.warn(place, "no epoch is validated: validation_freq names none that is trained")


def warn_about_schedule(optimizer: Optimizer, place: Place, problems: Problems) -> None:
    """Warn about a warmup without a target. `place`: of the optimizer."""
    schedule = optimizer.learning_rate
    if isinstance(schedule, CosineDecay) and schedule.warmup_steps and schedule.warmup_target is None:
        problems.warn(
            place,
            "CosineDecay's warmup_steps have no effect without a warmup_target, the rate they lead up to, as in Keras",
        )
