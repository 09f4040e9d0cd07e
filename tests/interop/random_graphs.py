"""Specs of random graphs out of all layers, losses, optimizers and metrics that Keras has as well."""

from random import Random

from cnncli.errors import DeclarationError
from cnncli.graph.model import INPUT, Model, Node, lower
from cnncli.interop.keras.network import KNOWN
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.meaning import Meaning
from cnncli.layers.vocabulary import layers
from cnncli.training.metrics.vocabulary import METRICS
from cnncli.training.optimizers.optimizers import OPTIMIZERS
from tests.layers.twins import BASES, OPTIONS
from tests.training import optimizer_cases

WITHOUT_CHANCE = {
    **{name: {"rate": [0.0]} for name in ("Dropout", "SpatialDropout2D", "AlphaDropout", "GaussianDropout")},
    "GaussianNoise": {"stddev": [0.0]},
}
"""Layers that draw random numbers, in other ways than Keras: with what they draw none."""
LEFT_OUT = {
    "Conv2DTranspose with dilation": "needs oneDNN, whose sums are less exact: layers_dilated.json",
    "Conv2DTranspose, same padding of an even kernel": "fails in TensorFlow",
    "Subtract of a value from itself": "is 0: gradients of scales behind it are rounding errors, which Adam magnifies",
    "depthwise with unequal strides": "fails on TensorFlow's CPU",
    "BinaryCrossentropy metric of a softmax": "is of logits in Keras, as if they were of a sigmoid",
    "CategoricalCrossentropy metric of a sigmoid": "is of logits in Keras, as if they were of a softmax",
    "sparsemax": "sums to 1 in Keras 3.15 only where one number is far above the others (keras-team/keras#23425)",
    "celu": "has the slope 2 at 0 on TensorFlow",
    "exclude": "is a method of Keras' optimizers, not an argument: optimizer_options.json",
    "multipliers": "is not in Keras",
    "use_ema": "validates the averages here, which Keras does only with a callback: averages.json",
    "ema_momentum": "needs use_ema",
    "ema_overwrite_frequency": "needs use_ema",
    "loss_scale_factor": "has no effect here: averages.json",
    "name": "has no effect",
    **dict.fromkeys(
        ("SensitivityAtSpecificity", "SpecificityAtSensitivity", "PrecisionAtRecall", "RecallAtPrecision"),
        "needs an argument: metrics_of_scores.json",
    ),
    "Accuracy": "is a choice among Keras' accuracies here, equality of numbers there",
    "SparseCategoricalAccuracy": "is of class numbers, and Keras is given rows",
    "SparseTopKCategoricalAccuracy": "is of class numbers, and Keras is given rows",
    "SparseCategoricalCrossentropy metric": "is of class numbers, and Keras is given rows",
    "Dice": "of metrics, is not in Keras",
    "CohenKappa": "is not in Keras",
    "MatthewsCorrelation": "is not in Keras",
    "CalibrationError": "is not in Keras",
    "MeanIoU": "has arguments for the form of targets in Keras: void.json, metrics_of_scores.json",
    "IoU": "has arguments for the form of targets in Keras: metrics_of_scores.json",
    "BinaryIoU": "has arguments for the form of targets in Keras: metrics_of_scores.json",
}
"""What is never drawn, each with why."""
LARGEST = 1500
"""The most numbers of a layer's output."""
ACTIVATIONS = {
    "Poisson": ["softplus", "sigmoid"],
    "MeanSquaredLogarithmicError": ["sigmoid", "softplus"],
    "Hinge": ["linear", "tanh"],
    "SquaredHinge": ["linear", "tanh"],
    "CategoricalHinge": ["linear", "tanh"],
}
OF_MEANING = {
    Meaning.CLASSES: ["softmax"],
    Meaning.LABELS: ["sigmoid"],
    Meaning.NUMBERS: ["linear", "tanh", "sigmoid"],
}
LOSS_OPTIONS = {"label_smoothing": [0.0, 0.2], "delta": [1.0, 0.3], "alpha": [0.25, 0.7], "beta": [0.3], "gamma": [2.0]}


def drawn(seed):
    """The spec of one random graph: a chain of 3 to 7 layers, of which some read earlier ones, and a dense layer."""
    random = Random(seed)
    shape = (random.randint(3, 8), random.randint(3, 8), random.choice([1, 2, 3, 4]))
    nodes, shapes = [], {INPUT: shape}
    names = sorted(KNOWN & set(layers()))
    wanted, tries = random.randint(3, 7), 0
    while len(nodes) < wanted and tries < 300:
        tries += 1
        kind = random.choice(names)
        last = nodes[-1].name if nodes else INPUT
        low, high = LAYERS.classes[kind].arity
        fan_in = low if high == low else random.randint(low, 3)
        inputs = (last, *random.choices(list(shapes), k=fan_in - 1))
        node = attempt(random, kind, f"n{len(nodes)}", inputs, shapes[last])
        found = node and output_shape(shape, [*nodes, node])
        if found:
            nodes.append(node)
            shapes[node.name] = found
    loss, activation = drawn_loss(random)
    return {
        "seed": seed,
        "data": {"dataset": "data.npz", "validation_split": 0.0},
        "model": {
            "input_shape": list(shape),
            "layers": [
                *(entry(node) for node in nodes),
                "Flatten",
                {"Dense": {"units": 3, "activation": activation, "bias_initializer": "random_normal", "name": "head"}},
            ],
        },
        "compile": {"loss": loss, "optimizer": drawn_optimizer(random), "metrics": drawn_metrics(random, activation)},
        "fit": {"epochs": 1, "batch_size": 5, "shuffle": False},
    }


def attempt(random, kind, name, inputs, shape):
    """A node with random arguments, or None where they are not valid."""
    base = BASES.get(kind, ({}, []))[0]
    options = {**OPTIONS.get(kind, {}), **WITHOUT_CHANCE.get(kind, {})}
    arguments = {**base, **{option: random.choice(values) for option, values in options.items()}}
    if kind == "Permute":
        arguments["dims"] = random.sample(range(1, len(shape) + 1), len(shape))
    if kind == "Reshape":
        arguments["target_shape"] = random.choice([[-1], [*shape[::-1]], [*shape[:-1], 1, shape[-1]], [shape[0], -1]])
    if "kernel_size" in arguments and random.random() < 0.3:
        arguments["kernel_constraint"] = random.choice([{"MaxNorm": {"max_value": 1.0}}, "NonNeg", "UnitNorm"])
    try:
        return Node(name, LAYERS.parse({kind: arguments}), inputs) if not left_out(kind, arguments, inputs) else None
    except ValidationError:
        return None


def left_out(kind, arguments, inputs):
    if kind == "Subtract" and len(set(inputs)) == 1:
        return True
    if any(isinstance(value, str) and value in LEFT_OUT for value in arguments.values()):
        return True
    if kind == "Conv2DTranspose":
        even = any(length % 2 == 0 for length in pair(arguments["kernel_size"]))
        return pair(arguments["dilation_rate"]) != [1, 1] or (even and arguments["padding"] == "same")
    return kind in ("DepthwiseConv2D", "SeparableConv2D") and len(set(pair(arguments["strides"]))) > 1


def pair(value):
    return [value, value] if isinstance(value, int) else value


def output_shape(shape, nodes):
    """The shape of the last node's output, or None where it cannot be built or is too large."""
    try:
        found = lower(Model(shape, tuple(nodes)), training=True).output.shape
    except DeclarationError:
        return None
    size = 1
    for length in found:
        size *= length
    return found if 0 < size <= LARGEST and len(found) <= 4 else None


def entry(node):
    ((kind, arguments),) = ((type(node.layer).__name__, node.layer.plain()),)
    return {kind: {**arguments, "name": node.name, "inputs": list(node.inputs)}}


def drawn_loss(random):
    name = random.choice(sorted(KNOWN & set(LOSSES.classes)))
    cls = LOSSES.classes[name]
    arguments = {field: random.choice(LOSS_OPTIONS[field]) for field in cls.fields if field in LOSS_OPTIONS}
    logits = "from_logits" in cls.fields and random.random() < 0.5
    activation = "linear" if logits else random.choice(ACTIVATIONS.get(name, OF_MEANING[cls.outputs]))
    return {name: {**arguments, "from_logits": True} if logits else arguments}, activation


def drawn_optimizer(random):
    name = random.choice(sorted(KNOWN & set(OPTIMIZERS.classes)))
    fields = [field for field in OPTIMIZERS.classes[name].fields if field not in LEFT_OUT and field != "learning_rate"]
    chosen = random.sample(fields, min(len(fields), random.randint(0, 2)))
    clips = [field for field in chosen if field in optimizer_cases.ONE_OF]
    options = {field: optimizer_cases.OPTIONS[field] for field in chosen if field not in clips[1:]}
    return {name: {"learning_rate": 0.01, **options}}


def drawn_metrics(random, activation):
    """Two metrics of one value, named `first` and `second`."""
    names = [
        name
        for name, cls in METRICS.classes.items()
        if not LEFT_OUT.keys() & {name, f"{name} metric", f"{name} metric of a {activation}"}
    ]
    return [
        {name: {"name": called, **({"average": "macro"} if "average" in METRICS.classes[name].fields else {})}}
        for name, called in zip(random.sample(names, 2), ("first", "second"), strict=True)
    ]
