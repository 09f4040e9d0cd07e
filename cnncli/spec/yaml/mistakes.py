"""Common mistakes as tables of patterns and messages.

Messages are templates: `{name}` is the group `name` of the pattern, `{text}` the whole input.
"""

import re
from collections.abc import Sequence

from cnncli.spec.yaml.tree import Place

Table = Sequence[tuple[str, str]]
LONGEST = 500
"""Maximum characters to match, because the patterns may be slow for longer texts."""

LINES: Table = (
    (
        r"^\s*(?:- )?(?P<key>[\w.]+):\s*(?P<at>>=?\s*[-+.\d]\S*)\s*(?:#.*)?$",
        'quote the condition, because > has a special meaning in YAML: write `{key}: "{at}"`',
    ),
    (
        r"^\s*(?P<at>- (?P<layer>[A-Z]\w*) ?(?P<arguments>\{.*\}))\s*(?:#.*)?$",
        "a colon is missing after {layer}: write `- {layer}: {arguments}`",
    ),
    (
        r"^\s*(?:- )?(?P<at>(?P<key>\w+)\s*=\s*(?P<quote>['\"]?)(?P<value>[^'\"=]+)(?P=quote)),?\s*(?:#.*)?$",
        "use a colon, not =: write `{key}: {value}`",
    ),
    (
        r"^\s*(?:- )?(?P<at>(?P<key>[A-Za-z_]\w*) (?P<value>[^\s:#{}\[\]]+))\s*(?:#.*)?$",
        "a colon is missing: write `{key}: {value}`",
    ),
    (
        r"^\s*(?:- )?(?P<at>(?P<key>[A-Za-z_]\w*):(?P<value>[^\s:#{}\[\]]+))\s*(?:#.*)?$",
        "a space is missing after the colon: write `{key}: {value}`",
    ),
    (r":\s*(?P<at>[%@`].*)$", "a value that starts with %, @ or ` must be in quotes"),
)
"""Lines at which the YAML parser failed; the error points at the group `at`."""

SYNTAX: Table = (
    (
        "mapping values are not allowed",
        "unexpected key: is a colon missing on the line above, or is this line indented too far?",
    ),
    ("sequence entries are not allowed", "unexpected list item: start the list on its own line"),
    ("could not find expected ':'", "a key needs a colon and a value: write `key: value`"),
    ("expected <block end>, but found '-'", "unexpected list item: is it indented too little?"),
    ("expected <block end>", "inconsistent indentation: align this line with the lines above"),
    (r"expected ',' or '\]'", "the list opened with [ is never closed with ] (or a comma is missing)"),
    (r"expected ',' or '\}'", "the mapping opened with {{ is never closed with }} (or a comma is missing)"),
    ("unexpected end of stream", "a quote is never closed"),
    ("document separator", "a quote is never closed"),
    (
        r"found unknown escape character '(?P<letter>.)'",
        '"\\{letter}" is not a valid escape; use single quotes for a literal backslash',
    ),
    (r"found undefined alias '?(?P<name>[^']*)'?", "the alias *{name} has no anchor &{name} before it"),
    (r"cannot start any token|character '%'", "a value that starts with this character must be in quotes"),
    ("tag|directive", "YAML tags and directives are not supported"),
    ("chomping or indentation", "a string that starts with > or | must be in quotes"),
    ("did not find expected <document start>|expected '<document start>'", "only one top-level value is allowed"),
    ("alphabetic or numeric", "a value that starts with * or & must be in quotes"),
)
"""Errors of the YAML parser, reworded."""

ENTRIES: Table = (
    (
        r"^(?P<layer>\w+)\((?P<arguments>.*)\)?$",
        "a layer's arguments are a mapping, not a call: write `- {layer}: {example}`",
    ),
    (r"^(?P<layer>[A-Z]\w*) *\{.*$", "a colon is missing after {layer}: write `- {layer}: {example}`"),
    (r"^(?P<layer>[A-Z]\w*)\s+\S.*$", "a colon is missing after {layer}: write `- {layer}: {example}`"),
    (
        r"^Input(Layer)?$",
        "there is no {text} layer: set `input_shape: [28, 28, 1]` under `model`",
    ),
    (
        r"^(Random(Flip|Translation|Rotation|Zoom|Crop|Contrast|Brightness|Shear|Perspective|Erasing|Hue|Saturation"
        r"|Sharpness|Invert|Posterization|ColorJitter|ColorDegeneration|GaussianBlur|Grayscale|ElasticTransform)|MixUp|CutMix"
        r"|RandAugment|AugMix|AutoContrast|Equalization|Solarization|ContrastLimitedAdaptiveHistogramEqualization)$",
        "{text} is an augmentation, not a layer: add it to `augment` under `data`",
    ),
    (
        r"^(?P<name>Sigmoid|Tanh|GELU|SiLU|Swish|relu|relu6|elu|gelu|silu|swish|sigmoid|tanh|softmax)$",
        "{text} is an activation, not a layer: write `- Activation: {{activation: {lower}}}`",
    ),
    (r"^(Model|Sequential|Loop)$", "{text} is not supported in a spec: list the layers under `layers`"),
    (
        r"^Lambda$",
        "Lambda runs Python code, which a spec never does: use other layers, or a package with a layer of your own",
    ),
)
"""Names of entries under `layers`. `example` shows the arguments of `layer`."""

VALUES: Table = (
    (r"^None$", "write null, not None"),
    (r"^\(.*$", "write lists in square brackets, like [3, 3]"),
    (
        r"^(?P<name>\w+)\((?P<number>[^()=]*)\)$",
        "arguments are a mapping, not a call: like {{{name}: {{{argument}: {number}}}}}",
    ),
    (r"^(?P<name>\w+)\(.*\)$", "arguments are a mapping, not a call: like {{{name}: {{key: value}}}}"),
    (r"^(True|TRUE|yes|Yes|YES|on|On|ON|y|Y)$", "write true"),
    (r"^(False|FALSE|no|No|NO|off|Off|OFF|n|N)$", "write false"),
    (r"^(?P<head>\d{1,3})(?P<tail>([_,]\d{3})+)$", "write {digits}"),
    (r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$", "remove the quotes"),
    (r"^(?P<key>\w+)\s*=\s*(?P<value>.+)$", "use a colon, not =, like {{{key}: {value}}}"),
)
"""Strings that were meant as another value."""

KEY_SYNONYMS: dict[str, str] = {
    "keep": "max_to_keep",
    "save_top_k": "max_to_keep",
    "lr": "learning_rate",
    "kernel": "kernel_size",
    "kernel_shape": "kernel_size",
    "stride": "strides",
    "subsample": "strides",
    "out_channels": "filters",
    "nb_filter": "filters",
    "num_filters": "filters",
    "n_filters": "filters",
    "channels": "filters",
    "out_features": "units",
    "neurons": "units",
    "nodes": "units",
    "border_mode": "padding",
    "dilation": "dilation_rate",
    "bias": "use_bias",
    "pool": "pool_size",
    "p": "rate",
    "dropout": "rate",
    "slope": "negative_slope",
    "alpha": "negative_slope",
    "act": "activation",
    "weight_initializer": "kernel_initializer",
    "weight_regularizer": "kernel_regularizer",
    "nb_epoch": "epochs",
    "num_epochs": "epochs",
    "max_epochs": "epochs",
    "time_limit": "max_time",
    "checkpoint_every": "save_freq",
    "batch": "batch_size",
    "criterion": "loss",
    "val_split": "validation_split",
    "source": "dataset",
    "network": "model",
    "train": "fit",
    "training": "fit",
    "beta1": "beta_1",
    "beta2": "beta_2",
    "eps": "epsilon",
    "wd": "weight_decay",
    "clip_norm": "clipnorm",
    "clip_value": "clipvalue",
    "T_max": "decay_steps",
    "step_size": "decay_steps",
    "gamma": "decay_rate",
    "epochs": "decay_steps",
    "milestones": "boundaries",
    "warmup_epochs": "warmup_steps",
    "max_lr": "max_learning_rate",
    "exclude_from_weight_decay": "exclude",
    "optimiser": "optimizer",
    "metric": "metrics",
    "augmentation": "augment",
    "augmentations": "augment",
    "callback": "callbacks",
}
"""Names of keys in other frameworks and old Keras versions."""

REJECTED_KEYS: dict[str, str] = {
    "in_channels": "the number of input channels comes from the layer before",
    "in_features": "the number of inputs comes from the layer before",
    "input_dim": "the number of inputs comes from the layer before",
    "input_shape": "set `input_shape: [28, 28, 1]` under `model`",
    "batch_input_shape": "it belongs under `model`, without the batch: `input_shape: [28, 28, 1]`",
    "validation_data": "save it as x_val and y_val, or set `validation_split` under `data`",
    "pss_evaluation_shards": "there is one process, and no server of parameters",
    "rms_scaling": "use RMSNormalization",
    "ignore_class": "as in Keras, only sparse_categorical_crossentropy does, of the losses",
    "num_classes": "the number of classes is that of the model's outputs",
    "sparse_y_true": "class numbers and rows of scores are told apart",
    "sparse_y_pred": "predictions are rows of scores, of which the highest counts",
}
"""Keys that are rejected, each with the reason."""

NAME_SYNONYMS: dict[str, str] = {
    "Conv2d": "Conv2D",
    "conv": "Conv2D",
    "Conv": "Conv2D",
    "Linear": "Dense",
    "Fc": "Dense",
    "FC": "Dense",
    "FullyConnected": "Dense",
    "InnerProduct": "Dense",
    "MaxPool2d": "MaxPooling2D",
    "MaxPool": "MaxPooling2D",
    "MaxPooling": "MaxPooling2D",
    "AvgPool2d": "AveragePooling2D",
    "AvgPool": "AveragePooling2D",
    "AveragePooling": "AveragePooling2D",
    "Dropout2d": "SpatialDropout2D",
    "PRelu": "PReLU",
    "Prelu": "PReLU",
    "BatchNorm": "BatchNormalization",
    "BatchNorm2d": "BatchNormalization",
    "BatchNorm2D": "BatchNormalization",
    "LayerNorm": "LayerNormalization",
    "GroupNorm": "GroupNormalization",
    "Concat": "Concatenate",
    "Sum": "Add",
    "Mul": "Multiply",
    "Relu": "ReLU",
    "ReLu": "ReLU",
    "LeakyRelu": "LeakyReLU",
    "Elu": "ELU",
    "SoftMax": "Softmax",
    "Softmax2d": "Softmax",
    "cross_entropy": "categorical_crossentropy",
    "CrossEntropyLoss": "categorical_crossentropy",
    "crossentropy": "categorical_crossentropy",
    "nll_loss": "categorical_crossentropy",
    "BCELoss": "binary_crossentropy",
    "SmoothL1Loss": "huber",
    "HuberLoss": "huber",
    "KLDivLoss": "kl_divergence",
    "PoissonNLLLoss": "poisson",
    "DiceLoss": "dice",
    "FocalLoss": "categorical_focal_crossentropy",
    "MSELoss": "mean_squared_error",
    "L1Loss": "mean_absolute_error",
    "xavier_uniform": "glorot_uniform",
    "xavier_normal": "glorot_normal",
    "kaiming_uniform": "he_uniform",
    "kaiming_normal": "he_normal",
    "momentum": "SGD",
    "adam_w": "adamw",
    "rm_sprop": "rmsprop",
    "cosine": "CosineDecay",
    "CosineAnnealing": "CosineDecay",
    "CosineAnnealingLR": "CosineDecay",
    "CosineAnnealingWarmRestarts": "CosineDecayRestarts",
    "OneCycleLR": "OneCycle",
    "LinearLR": "WarmUp",
    "ExponentialLR": "ExponentialDecay",
    "MultiStepLR": "PiecewiseConstantDecay",
    "PiecewiseConstant": "PiecewiseConstantDecay",
    "CLAHE": "ContrastLimitedAdaptiveHistogramEqualization",
    "Clahe": "ContrastLimitedAdaptiveHistogramEqualization",
}
"""Synonyms of names in the vocabulary or in Keras."""

UNSUPPORTED: dict[str, str] = {
    "layer": """SpectralNormalization
        AdaptiveAveragePooling1D AdaptiveAveragePooling3D
        AdaptiveMaxPooling1D AdaptiveMaxPooling3D
        AveragePooling1D AveragePooling3D AvgPool1D AvgPool3D MaxPooling1D MaxPooling3D MaxPool1D MaxPool3D
        GlobalAveragePooling1D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool3D
        GlobalMaxPooling1D GlobalMaxPooling3D GlobalMaxPool1D GlobalMaxPool3D
        Conv1D Conv1DTranspose Conv3D Conv3DTranspose Convolution1D Convolution1DTranspose Convolution3D
        Convolution3DTranspose DepthwiseConv1D SeparableConv1D SeparableConvolution1D
        Cropping1D Cropping3D SpatialDropout1D SpatialDropout3D UpSampling1D UpSampling3D ZeroPadding1D ZeroPadding3D
        ConvLSTM1D ConvLSTM2D ConvLSTM3D LSTM LSTMCell GRU GRUCell RNN SimpleRNN SimpleRNNCell StackedRNNCells
        Bidirectional TimeDistributed Wrapper Embedding ReversibleEmbedding EinsumDense Masking
        Attention AdditiveAttention GroupQueryAttention MultiHeadAttention
        CategoryEncoding Discretization HashedCrossing Hashing IntegerLookup StringLookup TextVectorization
        MaxNumBoundingBoxes MelSpectrogram STFTSpectrogram Pipeline
        FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper Layer""",
    "activation": """get serialize deserialize""",
    "optimizer": """Adafactor Muon LossScaleOptimizer MultiOptimizer OptimizerMap ScheduleFreeAdamW Optimizer""",
    "schedule": """LearningRateSchedule""",
    "loss": """CTC Circle Loss LossFunctionWrapper""",
    "metric": """Mean Sum MeanMetricWrapper MeanTensor Metric""",
    "callback": """BackupAndRestore LambdaCallback ProgbarLogger RemoteMonitor History
        OrbaxCheckpoint Callback CallbackList""",
    "initializer": """STFT STFTInitializer Initializer""",
    "regularizer": """Regularizer""",
    "constraint": """Constraint""",
}
"""Names that Keras has and cnncli does not support, by kind."""
REASONS: dict[str, str] = {
    "Adafactor": "its means of rows and columns save memory, which a CNN's weights do not need: use Adam",
    "Muon": "it is for dense kernels, and updates those of convolutions as AdamW does: use AdamW",
    "LossScaleOptimizer": "gradients are float32, where nothing is lost that a factor would save",
    "LambdaCallback": "a spec holds no code; in Python, `cnncli.train` reports every event",
    "OrbaxCheckpoint": "ModelCheckpoint saves models, and `cnncli train --resume` goes on from the last checkpoint",
    "RemoteMonitor": "metrics.jsonl has the metrics of each epoch, for any program to read",
    **dict.fromkeys(
        ("MultiOptimizer", "OptimizerMap"), "one optimizer updates all weights; `multipliers` sets rates by layer"
    ),
    "ScheduleFreeAdamW": "use AdamW with a schedule, or with use_ema",
    "CTC": "it aligns sequences, which images have none of: use categorical_crossentropy",
    **dict.fromkeys(("Mean", "Sum", "MeanTensor", "MeanMetricWrapper"), "it is not of predictions and their targets"),
    "Circle": "it compares the images of a batch with each other: use categorical_crossentropy",
    "EinsumDense": "Dense, and Conv2D with a kernel of 1 × 1, compute its products of images",
    "SpectralNormalization": "it wraps another layer, and a layer here holds no other: use a kernel_constraint",
    "MaxNumBoundingBoxes": "boxes are targets that augmentations move along, and no input of layers",
}
"""Why something of Keras is not supported, by Keras' name."""
FAMILIES: Table = (
    (
        "^(Layer|Wrapper|Loss|LossFunctionWrapper|Optimizer|Metric|LearningRateSchedule|Initializer|Regularizer"
        "|Constraint|Callback|CallbackList)$",
        "it is a base class, for code",
    ),
    (r"^(get|serialize|deserialize)$", "it is a function for code, and no activation"),
    (r"1D(Transpose)?$", "it is of sequences, and inputs are images"),
    (r"3D(Transpose)?$", "it is of volumes, and inputs are images"),
    (
        r"LSTM|GRU|RNN|^Bidirectional$|^TimeDistributed$|Attention$|^Masking$",
        "it is of sequences, and inputs are images",
    ),
    (
        r"Embedding$|^TextVectorization$|Lookup$|Hash|^CategoryEncoding$|^Discretization$",
        "it is of text or categories, and inputs are images",
    ),
    (r"Spectrogram$|^STFT", "it is of sounds, and inputs are images"),
    (r"^(FlaxLayer|JaxLayer|TFSMLayer|TorchModuleWrapper|Pipeline)$", "it wraps code, which a spec never holds"),
)
"""Why whole families of names are not supported."""
UNNEEDED_CALLBACKS: dict[str, str] = {
    "History": "metrics.jsonl always has the metrics of each epoch",
    "ProgbarLogger": "a terminal always shows the progress",
    "BackupAndRestore": "`cnncli train --resume` continues an interrupted run; `fit.save_freq` saves more often",
}
"""Keras callbacks whose work is always done, each with how."""


def syntax_mistake(problem: str, place: Place, start: Place, lines: Sequence[str]) -> tuple[Place, str]:
    """The place and message of a syntax error at `place`, in a value that begins at `start`."""
    numbers = [place.line, start.line]
    above = next((number for number in range(place.line - 1, 0, -1) if lines[number - 1].strip()), place.line)
    for number in (*numbers, above):
        line = lines[number - 1] if number <= len(lines) and len(lines[number - 1]) <= LONGEST else ""
        for pattern, message in LINES:
            match = re.search(pattern, line)
            if match:
                return Place(number, match.start("at") + 1), message.format_map(match.groupdict())
    inside = re.search("expected ',' or|end of stream|separator", problem)
    return (start if inside else place), format_message(problem, SYNTAX) or f"this is not valid YAML: {problem}"


def format_message(text: str, table: Table, **more: str) -> str:
    """The message of the first row of `table` that matches `text`, or "". `more`: further values for the template."""
    for pattern, message in table if len(text) <= LONGEST else ():
        match = re.search(pattern, text)
        if match:
            words = {name: value or "" for name, value in match.groupdict().items()}
            digits = words.get("head", "") + re.sub("[_,]", "", words.get("tail", ""))
            lower = words.get("name", "").lower()
            return message.format_map({**words, "digits": digits, "lower": lower, "text": text, **more})
    return ""


def unsupported_name(kind: str, name: str) -> str:
    """Keras' spelling of `name` if Keras has it and cnncli does not support it, else ""."""
    names = UNSUPPORTED.get(kind, "").split()
    return name if name in names else next((known for known in names if _bare(known) == _bare(name)), "")


def why_unsupported(name: str) -> str:
    """Why something of Keras is not supported, by Keras' name; "" if no reason is known."""
    return REASONS.get(name) or UNNEEDED_CALLBACKS.get(name) or format_message(name, FAMILIES)


def _bare(name: str) -> str:
    return name.lower().replace("_", "")
