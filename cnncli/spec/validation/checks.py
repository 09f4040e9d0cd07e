"""Rules across sections: the model against its data and loss, callbacks and expectations against the metrics."""

from collections.abc import Callable, Sequence

from cnncli.datasets.describe import Description
from cnncli.datasets.section import STILL_WEIGHTS, DataSection
from cnncli.errors import DeclarationError
from cnncli.graph.model import Lowered, Model, Node, lower
from cnncli.hints import few, suggestion
from cnncli.layers.activations import ends_in_softmax
from cnncli.layers.declarations.declaration import snake_case
from cnncli.layers.loss import Loss
from cnncli.layers.meaning import Meaning
from cnncli.ops.ir import Shape
from cnncli.spec.validation.declare import item_places
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Mapping, Place
from cnncli.training.class_weight import WITH_OTHERS, Weights, by_number
from cnncli.training.metrics.expectations import RESOURCES, Expectation
from cnncli.training.optimizers.optimizers import Optimizer, is_for
from cnncli.training.sections import CompileSection, FitSection

OFTEN = ("bias", "beta", "gamma")
"""Names of weights that may be excluded from weight decay whether or not the model has them."""


def lowered_model(model: Model, places: dict[str, Place], problems: Problems) -> Lowered | None:
    """The model as operations; None if a layer's inputs do not fit, which is reported."""
    before = len(problems)

    def report(node: Node, error: DeclarationError) -> None:
        kind = type(node.layer).__name__
        text = str(error) if str(error).startswith(kind) else f"{kind}: {error}"
        problems.add(places[node.name], text)

    lowered = lower(model, report=report)
    return lowered if len(problems) == before else None


def check_unused(model: Model, places: dict[str, Place], problems: Problems) -> None:
    """Report layers other than the last whose output is unused."""
    read = {name for node in model.nodes for name in node.inputs}
    for node in model.nodes[:-1]:
        if node.name not in read:
            problems.add(
                places[node.name], f"the output of '{node.name}' is not used: add it to a later entry's inputs"
            )


def check_output(
    model: Model,
    shape: Shape,
    loss: Loss,
    data: DataSection,
    *,
    description: Description | None,
    place: Place,
    problems: Problems,
) -> None:
    """Check the last layer against the loss and the data."""
    last = model.nodes[-1].layer
    softmax = ends_in_softmax(last)
    if softmax and shape[-1] == 1:
        problems.add(place, "softmax over 1 output always gives 1: use more outputs, or sigmoid")
        return
    name = loss.called
    if data.targets == "values" and softmax:
        problems.add(
            place,
            "with `targets: values` the last layer must not be a softmax, whose outputs sum to 1: use "
            "`activation: linear`",
        )
        return
    if data.targets == "input":
        if shape != model.input_shape:
            problems.add(
                place,
                f"with `targets: input` the last layer must output the input's shape {_list(model.input_shape)}; "
                f"received {_list(shape)}",
            )
        return
    if data.targets == "masks":
        if len(shape) != 3 or shape[:2] != model.input_shape[:2]:
            height, width = model.input_shape[:2]
            problems.add(
                place,
                "with `targets: masks` the last layer must output one vector per pixel, "
                f"[{height}, {width}, classes]; received {_list(shape)}",
            )
            return
    elif len(shape) != 1:
        problems.add(
            place,
            f"the last layer must output one vector per sample; received shape {_list(shape)}: is a Flatten missing?",
        )
        return
    if description is not None and description.several and (loss.classes or softmax):
        received = " and ".join([*([name] if loss.classes else []), *(["softmax"] if softmax else [])])
        problems.add(
            place,
            f"multi-label data requires a sigmoid and binary_crossentropy; received {received}",
        )
        return
    classes = description.classes if description is not None else None
    units = shape[-1]
    if description is not None and description.values not in (None, units):
        count = description.values
        problems.add(
            place,
            f"the data has {count} value{'s' * (count != 1)} per image, but the last layer has {units} "
            f"output{'s' * (units != 1)}",
        )
    if loss.classes and units == 1:
        problems.add(
            place,
            f"{name} needs one output per class; the last layer has 1 "
            "(with one output, use binary_crossentropy for two classes)",
        )
    elif classes is not None and units != classes and (loss.classes or units != 1):
        problems.add(place, f"the data has {classes} classes, but the last layer has {units} outputs")
    elif classes is not None and classes > 2 and units == 1 and loss.outputs is Meaning.LABELS:
        problems.add(place, f"{name} with one output can distinguish only two classes; the data has {classes} classes")


class Figures:
    """The metrics of a run of this spec."""

    def __init__(self, compiled: CompileSection, outputs: int, *, validation: bool, test: bool) -> None:
        own = ["loss", *(name for metric in compiled.metrics for name in metric.names(outputs))]
        self.own, self.validation, self.test = own, validation, test

    def each_epoch(self) -> list[str]:
        """The metrics that callbacks can monitor."""
        return [*self.own, *(f"val_{name}" for name in self.own if self.validation)]

    def at_the_end(self) -> list[str]:
        """The metrics, and other figures, that `expect` can name."""
        return [*self.each_epoch(), *(f"test_{name}" for name in self.own if self.test), *RESOURCES]

    def missing(self, name: str, known: Sequence[str]) -> str:
        """The error for a metric that is not among `known`; "" if it is."""
        if name in known:
            return ""
        if name.removeprefix("val_") in self.own and not self.validation:
            return f"'{name}' needs validation data: add `validation_split: 0.1` under `data`"
        if name.removeprefix("test_") in self.own and not self.test:
            return f"'{name}' needs test data, which this dataset does not have"
        if name in self.each_epoch() and known == self.own:
            return f"'{name}' is computed after epochs, not after batches; available: {', '.join(known)}"
        if name.startswith("test_") and known == self.each_epoch():
            return f"'{name}' is computed only after training; available each epoch: {', '.join(known)}"
        return f"unknown metric '{name}'{suggestion(name, known) or '; available: ' + ', '.join(known)}"


def check_augmentations(
    data: DataSection,
    shape: Shape,
    fit: FitSection | None,
    places: Sequence[Place],
    problems: Problems,
    *,
    description: Description | None,
) -> None:
    """Check augmentations, which are at `places`, against images of `shape`, weights of pixels and the batch size."""
    if data.augment and description is not None and description.pixels_weighted:
        problems.add(places[0], STILL_WEIGHTS)
    for augmentation, place in zip(data.augment, places, strict=True):
        rank = len(shape)
        message = (
            augmentation.shape_error(shape)
            if rank == 3
            else f"augmentations require images [height, width, channels]; received input_shape {_list(shape)}"
        )
        if not message and augmentation.mixes and fit is not None and fit.batch_size == 1:
            name = type(augmentation).__name__
            message = f"{name} mixes images of a batch: batch_size must be ≥ 2; received 1"
        if message:
            problems.add(place, message)


def check_callbacks(
    fit: FitSection, compiled: CompileSection, figures: Figures, tree: Mapping, problems: Problems
) -> None:
    """Check that callbacks read metrics that exist when they do, and fit the optimizer."""
    places = item_places(tree, "fit", "callbacks", "monitor")
    for number, (callback, place) in enumerate(zip(fit.callbacks, places, strict=True)):
        name = type(callback).__name__
        known = figures.own if callback.in_batches else figures.each_epoch()
        for argument, metrics in callback.metrics().items():
            for metric in metrics:
                message = figures.missing(metric, known)
                if message:
                    at = item_places(tree, "fit", "callbacks", argument)[number]
                    problems.add(at, f"{name}'s {argument}: {message}")
        message = callback.contradicts(compiled.optimizer)
        if message:
            problems.add(place, message)


def check_optimizer(optimizer: Optimizer, lowered: Lowered, place: Callable[[str], Place], problems: Problems) -> None:
    """Check that the optimizer's patterns match weights of the model. `place`: of an argument's value."""
    weights = [parameter.name for parameter in lowered.parameters if parameter.weight.trainable]
    patterns = {
        "exclude": [name for name in optimizer.exclude if name not in OFTEN],
        "multipliers": optimizer.multipliers,
    }
    for field, given in patterns.items():
        for pattern in given:
            if not any(is_for(pattern, weight) for weight in weights):
                hint = suggestion(pattern, weights) or f"; the weights are {few(weights, 4)}"
                problems.add(place(field), f"{field}: no trainable weight matches '{pattern}'{hint}")


def check_class_weight(
    fit: FitSection,
    data: DataSection,
    description: Description | None,
    place: Place,
    problems: Problems,
    *,
    loss: Loss | None,
) -> None:
    """Check that images or pixels have one class each, of which class_weight names some, and that the loss is one of
    each of them. `place`: of class_weight.
    """
    whole = [part.called for part in loss.parts if part.of_whole_images] if loss is not None else []
    if data.targets not in ("labels", "masks"):
        problems.add(place, f"class_weight requires one class per image; remove it with `targets: {data.targets}`")
    elif data.targets == "masks" and whole:
        problems.add(place, f"class_weight weighs pixels, of which {whole[0]} has no loss each: remove one of them")
    elif description is not None and description.several:
        problems.add(place, "class_weight requires one class per image, but this data is multi-label: remove it")
    elif description is not None and description.weighted:
        problems.add(place, WITH_OTHERS)
    elif description is not None and description.names and isinstance(fit.class_weight, Weights):
        try:
            by_number(fit.class_weight, description.names)
        except DeclarationError as error:
            problems.add(place, str(error))


def check_expectations(
    expect: Sequence[Expectation], figures: Figures, places: Sequence[Place], problems: Problems
) -> None:
    """Check that expectations name metrics of the run."""
    for expectation, place in zip(expect, places, strict=True):
        message = figures.missing(expectation.figure, figures.at_the_end())
        if not message and expectation.is_trend and expectation.figure not in figures.each_epoch():
            known = ", ".join(figures.each_epoch())
            message = f"'{expectation.figure}' has one value; {expectation.operator} is for {known}"
        if message:
            problems.add(place, message)


def check_metrics(
    compiled: CompileSection,
    outputs: int | None,
    places: Sequence[Place],
    problems: Problems,
    description: Description | None,
) -> None:
    """Check that no metric is duplicated, and that each fits the outputs, whose number may be unknown, and the data."""
    seen: set[str] = {"loss"}
    for metric, place in zip(compiled.metrics, places, strict=True):
        if not seen.isdisjoint(metric.names(outputs or 0)):
            problems.add(place, f"duplicate metric '{metric.title}': give one of them another `name`")
        message = metric.misfit(outputs) if outputs is not None else ""
        if message:
            problems.add(place, f"{type(metric).__name__}: {message}")
        if metric.of_one_class and description is not None and description.several:
            name = snake_case(type(metric).__name__)
            problems.add(
                place, f"{name} requires one class per image, but this data is multi-label: use binary_accuracy"
            )
        seen.update(metric.names(outputs or 0))


def check_input_as_target(compiled: CompileSection, loss: Place, metrics: Sequence[Place], problems: Problems) -> None:
    """Check loss and metrics if the target is the input, which has no classes. `loss`, `metrics`: their places."""
    if compiled.loss.classes:
        problems.add(
            loss,
            "with `targets: input` the loss must be mean_squared_error or binary_crossentropy, which compare pixels; "
            f"{compiled.loss.called} compares classes",
        )
    for metric, place in zip(compiled.metrics, metrics, strict=True):
        if metric.counts_answers:
            name = snake_case(type(metric).__name__)
            problems.add(place, f"{name} requires class labels; remove it with `targets: input`")


def check_values_as_target(compiled: CompileSection, loss: Place, metrics: Sequence[Place], problems: Problems) -> None:
    """Check loss and metrics if the targets are numbers, which are no classes. `loss`, `metrics`: their places."""
    if compiled.loss.outputs is not Meaning.NUMBERS:
        problems.add(
            loss,
            "with `targets: values` the loss must be mean_squared_error or mean_absolute_error, which compare numbers; "
            f"{compiled.loss.called} compares classes",
        )
    for metric, place in zip(compiled.metrics, metrics, strict=True):
        if metric.counts_answers:
            name = snake_case(type(metric).__name__)
            problems.add(
                place,
                f"{name} requires class labels: with `targets: values` use mae, mse, root_mean_squared_error or "
                "r2_score",
            )


def _list(shape: Shape) -> str:
    return str(list(shape))
