"""Specs of random graphs out of all layers, losses, optimizers and metrics that Keras has as well."""

from math import prod
from random import Random

from cnncli.errors import DeclarationError
from cnncli.graph.model import INPUT, Model, Node, lower
from cnncli.interop.keras.network import KNOWN
from cnncli.layers.activation_functions import ACTIVATIONS
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.meaning import Meaning
from cnncli.layers.vocabulary import layers
from cnncli.training.metrics.vocabulary import METRICS
from cnncli.training.optimizers.optimizers import OPTIMIZERS
from cnncli.training.optimizers.schedules import SCHEDULES
from tests.layers.twins import BASES, OPTIONS
from tests.training import optimizer_cases

WITHOUT_CHANCE = {
    **{name: {"rate": [0.0]} for name in ("Dropout", "SpatialDropout2D", "AlphaDropout", "GaussianDropout")},
    "GaussianNoise": {"stddev": [0.0]},
}
"""Layers that draw random numbers, in other ways than Keras: with what they draw none."""
OF_ANY_GRADIENT = ("Adam", "AdamW", "Adamax", "Lamb", "Lion", "Nadam", "RMSprop")
"""Optimizers whose steps are as long for small gradients as for large ones."""
LEFT_OUT = {
    "Conv2DTranspose with dilation": "needs oneDNN, whose sums are less exact: layers_dilated.json",
    "Conv2DTranspose, same padding of an even kernel": "fails in TensorFlow",
    "Multiply of a value by itself": "is large, and an exponential of it has few digits",
    "OrthogonalRegularizer of a single row or column": "is 0 / 0 in Keras, the sum over no pairs by their number",
    "Subtract of a value from itself": "is 0: gradients of scales behind it are rounding errors, which Adam magnifies",
    "AdaptiveMaxPooling2D of or to a length of 1": "has random gradients in TensorFlow, which pools no whole windows",
    "Softmax along images, behind a layer": "takes away biases: gradients are rounding errors, which Adam magnifies",
    "Softmax of a single number": "is 1: gradients are rounding errors where TensorFlow has 1 - 6e-8 for it",
    "softmax or log_softmax of a constant kernel, behind a layer": "is of equal numbers: gradients are rounding "
    "errors, which Adam magnifies",
    "Dot, normalized along images, behind a layer": "takes away scales: gradients are rounding errors, of which Ftrl "
    "makes the scales",
    "UnitNormalization with an axis twice": "fails in TensorFlow",
    "Ftrl with a rate that reaches 0": "divides by it, here and in Keras",
    "LayerNormalization with axes of both signs": "has its weights in another shape in Keras, which sorts axes as "
    "written, [2, -1] as [-1, 2]; they are the same numbers in the same order",
    "RMSNormalization of a single number": "is 1 or -1 but for rounding errors, where sparse_sigmoid has kinks",
    "UnitNormalization, or Dot that normalizes, along 1 or 2 numbers": "divides by a norm that may be near 0: "
    "magnifies rounding errors",
    "gamma below 1": "has an infinite slope at a loss of 0, where Keras has nan",
    "glu": "has a shape in Keras' Activation that is not that of its values",
    "depthwise with unequal strides": "fails on TensorFlow's CPU",
    "BinaryCrossentropy metric of a softmax": "is of logits in Keras, as if they were of a sigmoid",
    "BinaryCrossentropy metric of a tanh": "takes logarithms of 1 - tanh, which has few digits where tanh is near 1",
    "CategoricalCrossentropy metric of a sigmoid": "is of logits in Keras, as if they were of a softmax",
    "sparsemax": "sums to 1 in Keras 3.15 only where one number is far above the others (keras-team/keras#23425)",
    "celu": "has the slope 2 at 0 on TensorFlow",
    "tanh_shrink": "loses the digits of small numbers in Keras, x - tanh(x): layers_activations.json",
    f"{', '.join(OF_ANY_GRADIENT)} behind a tanh": "make long steps of gradients that have few digits where tanh is "
    "near 1",
    "threshold": "needs arguments, which activations by name have none of in Keras: layers_activations.json",
    "data_format": "is channels_last: TensorFlow's CPU has no convolutions of channels_first",
    "ignore_class": "is compared in void.json",
    "multipliers": "is not in Keras",
    **dict.fromkeys(
        ("Dice metric", "CohenKappa", "MatthewsCorrelation", "CalibrationError", "OneCycle", "WarmUp"),
        "is not in Keras",
    ),
}
"""What is never drawn, each with why."""
LARGEST = 1500
"""The most numbers of a layer's output."""
LAST = {
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
LOSS_OPTIONS = {
    "label_smoothing": [0.0, 0.2],
    "delta": [1.0, 0.3],
    "alpha": [0.25, 0.7],
    "beta": [0.3],
    "gamma": [2.0, 1.5],
    "q": [0.3, 0.8],
    "apply_class_balancing": [False, True],
    "axis": [None, -1],
    "weight": [1.0, 0.5],
}
METRIC_OPTIONS = {
    "k": [1, 2],
    "threshold": [0.3],
    "thresholds": [0.3, 0.6],
    "top_k": [1, 2],
    "class_id": [0, 2],
    "num_thresholds": [2, 7, 200],
    "curve": ["ROC", "PR"],
    "summation_method": ["interpolation", "minoring", "majoring"],
    "multi_label": [False, True],
    "average": ["macro", "micro", "weighted"],
    "beta": [0.5, 2.0],
    "label_smoothing": [0.1],
    "class_aggregation": ["uniform_average", "variance_weighted_average"],
    "target_class_ids": [[0], [1], [0, 1]],
    **{name: [0.3, 0.5, 0.8] for name in ("specificity", "sensitivity", "recall", "precision")},
}
ALWAYS = ("average", "target_class_ids", "specificity", "sensitivity", "recall", "precision")
"""Options without which a metric has none of its values, or several."""
NUMBERED = ("SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy")
"""Losses whose targets are class numbers in Keras; those of the others are rows."""
OF_NUMBERS = (
    "Accuracy",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "MeanIoU",
    "IoU",
)
"""Metrics of targets that are class numbers; those of rows are all others, and the last two."""
BY_NAME = [name for name in ACTIVATIONS.spellings if name not in LEFT_OUT]
OF_WEIGHTS = {
    "_initializer": [
        *("glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "orthogonal"),
        *("ones", "zeros", "random_normal", "random_uniform", "truncated_normal", "identity", "variance_scaling"),
        {"Constant": {"value": 0.3}},
        {"Identity": {"gain": 0.5}},
        {"Orthogonal": {"gain": 0.7, "seed": 3}},
        {"RandomNormal": {"mean": 0.2, "stddev": 0.5}},
        {"RandomUniform": {"minval": -0.5, "maxval": 1.0}},
        {"TruncatedNormal": {"mean": -0.1, "stddev": 0.4}},
        {"VarianceScaling": {"scale": 2.0, "mode": "fan_avg", "distribution": "uniform"}},
        {"VarianceScaling": {"mode": "fan_out", "distribution": "untruncated_normal"}},
    ],
    "_regularizer": [
        {"L1": {"l1": 0.03}},
        {"L2": {"l2": 0.1}},
        {"L1L2": {"l1": 0.02, "l2": 0.05}},
        {"OrthogonalRegularizer": {"factor": 0.3, "mode": "rows"}},
        {"OrthogonalRegularizer": {"factor": 0.3, "mode": "columns"}},
    ],
    "_constraint": [
        "NonNeg",
        {"UnitNorm": {"axis": 0}},
        {"UnitNorm": {"axis": -1}},
        {"MaxNorm": {"max_value": 0.5, "axis": 0}},
        {"MaxNorm": {"max_value": 1.0, "axis": [0, 1]}},
        {"MinMaxNorm": {"min_value": 0.5, "max_value": 1.0, "rate": 0.7, "axis": 0}},
    ],
}
"""By the end of an argument's name: its values, for any weight."""
NORMED = {"UnitNorm", "MinMaxNorm"}
"""Constraints that would make rounding errors of a weight of 0 as long as any other: with them it starts elsewhere."""
VARIANCES = ["ones", {"Constant": {"value": 0.5}}, {"RandomUniform": {"minval": 0.5, "maxval": 1.5}}]
SCHEDULE_OPTIONS = {
    "decay_steps": [2, 3, 10],
    "first_decay_steps": [2, 3],
    "decay_rate": [0.5, 0.9],
    "staircase": [False, True],
    "boundaries": [[1, 2]],
    "values": [[0.02, 0.01, 0.005]],
    "end_learning_rate": [0.001],
    "power": [1.0, 2.0],
    "cycle": [False, True],
    "alpha": [0.0, 0.2],
    "t_mul": [2.0, 1.0],
    "m_mul": [1.0, 0.5],
}


def drawn(seed):
    """The spec of one random graph: a chain of 3 to 7 layers, of which some read earlier ones, and a dense layer."""
    random = Random(seed)
    shape = (random.randint(3, 8), random.randint(3, 8), random.choice([1, 2, 3, 4]))
    nodes, shapes = [], {INPUT: shape}
    names = sorted(KNOWN & set(layers()))
    names += 2 * [name for name in names if "activation" in LAYERS.classes[name].fields]  # with weights, or of any kind
    wanted, tries = random.randint(3, 7), 0
    while len(nodes) < wanted and tries < 300:
        tries += 1
        kind = random.choice(names)
        last = nodes[-1].name if nodes else INPUT
        low, high = LAYERS.classes[kind].arity
        fan_in = low if high == low else random.randint(low, 3)
        alike = [name for name, found in shapes.items() if found == shapes[last] and name != last]
        others = alike if alike and random.random() < 0.7 else list(shapes)
        inputs = (last, *random.choices(others, k=fan_in - 1))
        for _ in range(4):  # most arguments of convolutions do not go together
            node = attempt(random, kind, f"n{len(nodes)}", inputs, shapes[last])
            found = node and output_shape(shape, [*nodes, node])
            if found:
                break
        if found:
            nodes.append(node)
            shapes[node.name] = found
    loss, activation = drawn_loss(random)
    head = {"units": 3, "activation": activation, "bias_initializer": "random_normal", "name": "head"}
    return {
        "seed": seed,
        "data": {"dataset": "data.npz", "validation_split": 0.0},
        "model": {
            "input_shape": list(shape),
            "layers": [
                *(entry(node) for node in nodes),
                "Flatten",
                {"Dense": head},
            ],
        },
        "compile": {
            "loss": loss,
            "optimizer": drawn_optimizer(random, activation),
            "metrics": drawn_metrics(random, loss, activation),
        },
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
    if "activation" in LAYERS.classes[kind].fields and random.random() < 0.7:
        arguments["activation"] = random.choice(BY_NAME)
    for field in LAYERS.classes[kind].fields:
        values = VARIANCES if field == "moving_variance_initializer" else of_weights(field)
        if values and random.random() < 0.3:
            arguments[field] = random.choice(values)
            if isinstance(arguments[field], dict) and arguments[field].keys() & NORMED:
                arguments[field.replace("_constraint", "_initializer")] = "random_normal"
    try:
        return (
            Node(name, LAYERS.parse({kind: arguments}), inputs)
            if not left_out(kind, arguments, inputs, shape)
            else None
        )
    except ValidationError:
        return None


def of_weights(field):
    return next((values for ending, values in OF_WEIGHTS.items() if field.endswith(ending)), [])


def left_out(kind, arguments, inputs, shape):
    """Whether it is among LEFT_OUT."""
    named = any(isinstance(value, str) and value in LEFT_OUT for value in arguments.values())
    orthogonal = any(isinstance(value, dict) and "OrthogonalRegularizer" in value for value in arguments.values())
    of_kind = kind in LEFT_OUT_OF and LEFT_OUT_OF[kind](arguments, inputs, shape)
    return named or of_kind or (orthogonal and 1 in shape) or softmax_of_equals(arguments, inputs, shape)


def dilated_or_even(arguments, *_):
    even = any(length % 2 == 0 for length in pair(arguments["kernel_size"]))
    return pair(arguments["dilation_rate"]) != [1, 1] or (even and arguments["padding"] == "same")


def unequal_strides(arguments, *_):
    return len(set(pair(arguments["strides"]))) > 1


def numbers_along(axis, shape):
    """How many numbers lie along one or several axes; 0 where one is named twice."""
    lengths = (1, *shape)
    axes = [each % len(lengths) for each in ([axis] if isinstance(axis, int) else axis)]
    return prod(lengths[each] for each in axes) if len(set(axes)) == len(axes) else 0


def along_images_or_one(arguments, inputs, shape):
    last = arguments["axis"] in (-1, len(shape))
    return shape[-1] == 1 if last else inputs != (INPUT,)


def normalized_along_images_or_few(arguments, inputs, shape):
    axes = pair(arguments["axes"])
    along = any(axis not in (-1, len(shape)) for axis in axes) and set(inputs) != {INPUT}
    return arguments["normalize"] and (along or numbers_along(axes[0], shape) < 3)


def softmax_of_equals(arguments, inputs, shape):
    """Whether all numbers that it is of are one number, or have the same weights in a layer behind others."""
    initializers = [arguments.get(f"{kernel}_initializer") for kernel in ("kernel", "pointwise")]
    constant = any(each == "ones" or (isinstance(each, dict) and "Constant" in each) for each in initializers)
    one = shape[-1] == 1 and not {"filters", "units"} & arguments.keys()
    return arguments.get("activation") in ("softmax", "log_softmax") and (one or (constant and inputs != (INPUT,)))


LEFT_OUT_OF = {
    "Multiply": lambda arguments, inputs, shape: len(set(inputs)) < len(inputs),
    "Subtract": lambda arguments, inputs, shape: len(set(inputs)) == 1,
    "LayerNormalization": lambda arguments, *_: arguments["axis"] == [2, -1],
    "Softmax": along_images_or_one,
    "Dot": normalized_along_images_or_few,
    "AdaptiveMaxPooling2D": lambda arguments, _, shape: 1 in (*pair(arguments["output_size"]), *shape[:2]),
    "Conv2DTranspose": dilated_or_even,
    "DepthwiseConv2D": unequal_strides,
    "SeparableConv2D": unequal_strides,
    "UnitNormalization": lambda arguments, _, shape: numbers_along(arguments["axis"], shape) < 3,
    "RMSNormalization": lambda arguments, _, shape: numbers_along(arguments["axis"], shape) == 1,
}
"""By layer: whether it is left out, by its arguments, its inputs and the shape of the first."""


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
    name = random.choice(sorted(LOSSES.classes))
    cls = LOSSES.classes[name]
    arguments = {field: random.choice(LOSS_OPTIONS[field]) for field in cls.fields if field in LOSS_OPTIONS}
    logits = "from_logits" in cls.fields and random.random() < 0.5
    activation = "linear" if logits else random.choice(LAST.get(name, OF_MEANING[cls.outputs]))
    return {name: {**arguments, "from_logits": True} if logits else arguments}, activation


def drawn_optimizer(random, activation):
    without = OF_ANY_GRADIENT if activation == "tanh" else ()
    name = random.choice(sorted((KNOWN & set(OPTIMIZERS.classes)).difference(without)))
    fields = [field for field in OPTIMIZERS.classes[name].fields if field not in LEFT_OUT and field != "learning_rate"]
    chosen = random.sample(fields, min(len(fields), random.randint(0, 3)))
    chosen += [needed for field in chosen for needed in optimizer_cases.NEEDED.get(field, ())]
    clips = [field for field in chosen if field in optimizer_cases.ONE_OF]
    options = {field: optimizer_cases.OPTIONS[field] for field in chosen if field not in clips[1:]}
    return {name: {"learning_rate": drawn_schedule(random, name) if random.random() < 0.3 else 0.01, **options}}


def drawn_schedule(random, optimizer):
    name = random.choice([name for name in SCHEDULES.classes if name not in LEFT_OUT])
    options = {field: random.choice(SCHEDULE_OPTIONS[field]) for field in SCHEDULES.classes[name].fields
               if field in SCHEDULE_OPTIONS}  # fmt: skip
    if "initial_learning_rate" in SCHEDULES.classes[name].fields:
        options["initial_learning_rate"] = 0.02
    if "warmup_steps" in SCHEDULES.classes[name].fields and random.random() < 0.5:
        options.update(warmup_steps=2, warmup_target=0.03)
    if "alpha" in options and optimizer == "Ftrl":
        options["alpha"] = 0.2
    return {name: options}


def drawn_metrics(random, loss, activation):
    """Two metrics of one value, named `first` and `second`, or as Keras names its choice of accuracies."""
    (kind,) = loss
    rows = kind not in NUMBERED
    of_classes = LOSSES.classes[kind].outputs == Meaning.CLASSES
    names = [
        name
        for name in METRICS.classes
        if not LEFT_OUT.keys() & {name, f"{name} metric", f"{name} metric of a {activation}"}
        and (name in OF_NUMBERS if not rows else not name.startswith("Sparse"))
        and (of_classes or name != "Accuracy")
    ]
    return [
        {name: {"name": "accuracy" if name == "Accuracy" else called, **metric_options(random, name, activation)}}
        for name, called in zip(random.sample(names, 2), ("first", "second"), strict=True)
    ]


def metric_options(random, name, activation):
    fields = METRICS.classes[name].fields
    options = {
        field: random.choice(values)
        for field, values in METRIC_OPTIONS.items()
        if field in fields and (field in ALWAYS or random.random() < 0.4)
    }
    return {**options, "from_logits": True} if "from_logits" in fields and activation == "linear" else options
