"""What Keras accepts is accepted, or answered with why not: never as unknown."""

import pytest

from cnncli.errors import SpecError
from cnncli.spec.spec import parse

LAYER = "{Conv2D: {filters: 4, kernel_size: 3}}"
TEXT = """
data: {{{data}}}
model: {{input_shape: [28, 28, 1], layers: [{layers}, Flatten, Dense: {{units: 10, activation: softmax}}]}}
compile: {{optimizer: {optimizer}, loss: {loss}{compile}}}
fit: {{{fit}}}
"""
USUAL = {
    "data": "dataset: digits",
    "layers": LAYER,
    "optimizer": "adam",
    "loss": "categorical_crossentropy",
    "compile": "",
    "fit": "",
}


def spec(section, words):
    before = {"layers": f"{LAYER}, ", "compile": ", "}.get(section, "")
    return parse(TEXT.format(**{**USUAL, section: before + words}), "own.yaml", check_data=False)


def decay(words):
    return f"{{adam: {{learning_rate: {{{words}}}}}}}"


ACCEPTED = [
    ("layers", "Flatten: {trainable: false}"),
    ("layers", "ReLU: {dtype: float32}"),
    ("layers", "BatchNormalization: {activity_regularizer: l2}"),
    ("layers", "BatchNormalization: {axis: 1, synchronized: true, renorm: false, renorm_clipping: null}"),
    ("layers", "MaxPooling2D: {padding: SAME, data_format: null}"),
    ("layers", "UpSampling2D: {interpolation: BILINEAR}"),
    ("layers", "Conv2D: {filters: 2, kernel_size: 3, kernel_initializer: null}"),
    ("layers", "Conv2D: {filters: 2, kernel_size: 3, kernel_initializer: {HeNormal: {seed: 3}}}"),
    ("layers", "Conv2D: {filters: 2, kernel_size: 3, kernel_regularizer: {L1L2: {l1: null, l2: 0.1}}}"),
    ("layers", "Conv2D: {filters: 2, kernel_size: 3, kernel_constraint: {MaxNorm: {axis: null}}}"),
    ("layers", "Dropout: {rate: 0.5, seed: 3, noise_shape: [null, 1, 1, 4]}"),
    ("layers", "Softmax: {axis: [1, 2]}"),
    ("layers", "Rescaling: {scale: [1, 2, 3, 4], offset: [0, 0, 0, 1]}"),
    ("layers", "ELU: {alpha: -1}"),
    ("layers", "Add: {inputs: [conv2d]}"),
    ("layers", "Concatenate: {inputs: [conv2d]}"),
    ("layers", "Activation: {activation: log_sigmoid}"),
    ("loss", "{categorical_crossentropy: {reduction: sum_over_batch_size, axis: -1, name: x, dtype: float32}}"),
    ("loss", "bce"),
    ("loss", "BCE"),
    ("loss", "categorical_hinge"),
    ("optimizer", "{adam: {name: x, loss_scale_factor: 128}}"),
    ("optimizer", decay("ExponentialDecay: {initial_learning_rate: 0.1, decay_steps: 10.5, decay_rate: 0.9}")),
    ("optimizer", decay("CosineDecay: {initial_learning_rate: 0.1, decay_steps: 10, warmup_steps: 5}")),
    ("optimizer", decay("PiecewiseConstantDecay: {boundaries: [5, 5], values: [0.1, 0.2, 0.3]}")),
    ("compile", "jit_compile: true"),
    ("compile", "jit_compile: auto"),
    ("compile", "run_eagerly: false"),
    ("compile", "steps_per_execution: 10"),
    ("compile", "auto_scale_loss: true"),
    ("compile", "loss_weights: null"),
    ("compile", "weighted_metrics: []"),
    ("fit", "verbose: auto"),
    ("fit", "initial_epoch: 2, epochs: 3"),
    ("fit", "steps_per_epoch: null, validation_steps: null, validation_batch_size: null, validation_freq: 1"),
    ("fit", "steps_per_epoch: 5, validation_steps: 2, validation_batch_size: 16, validation_freq: [1, 3]"),
    ("fit", "verbose: 2"),
    ("fit", "callbacks: [{EarlyStopping: {patience: -1, verbose: 1}}]"),
    ("fit", "callbacks: [{ReduceLROnPlateau: {verbose: true}}]"),
]


@pytest.mark.parametrize(("section", "words"), ACCEPTED, ids=[words for _, words in ACCEPTED])
def test_words_of_keras_are_accepted(section, words):
    assert spec(section, words).resolved()


COMPILED = r"\(every network is compiled before it runs\)"
ANSWERED = [
    ("layers", "BatchNormalization: {renorm: true}", "renorm: batch renormalization is not supported"),
    (
        "layers",
        "Conv2D: {filters: 2, kernel_size: 3, data_format: channels_first}",
        "only 'channels_last' is supported",
    ),
    ("layers", "ReLU: {dtype: float16}", "layers compute in float32, and in no other dtype"),
    ("layers", "Dense: {units: 2, kernel_regularizer: {l1_l2: {l1: 0.1}}}", "regularizer 'l1_l2'; did you mean 'l1l2'"),
    (
        "loss",
        "{categorical_crossentropy: {reduction: sum}}",
        r"reduction must be .* \(a loss is the mean over the batch\)",
    ),
    ("loss", "{categorical_crossentropy: {axis: 1}}", r"axis must be -1 \(classes are on the last axis\)"),
    ("optimizer", "adam_w", "unknown optimizer 'adam_w'; use 'adamw'"),
    ("optimizer", "rm_sprop", "unknown optimizer 'rm_sprop'; use 'rmsprop'"),
    (
        "optimizer",
        decay("CosineDecay: {initial_learning_rate: 0.1, decay_steps: 10, alpha: -0.1}"),
        r"alpha must be a number ≥ 0 \(otherwise the rate would end below 0\)",
    ),
    (
        "optimizer",
        decay("CosineDecayRestarts: {initial_learning_rate: 0.1, first_decay_steps: 10, t_mul: 0.5}"),
        r"t_mul must be a number ≥ 1 \(otherwise periods shrink until the rate is NaN, as in Keras\)",
    ),
    ("compile", "jit_compile: false", f"jit_compile must be auto or true {COMPILED}; received false"),
    ("compile", "run_eagerly: true", f"run_eagerly must be false {COMPILED}; received true"),
    ("compile", "steps_per_execution: 0", "steps_per_execution must be an integer ≥ 1; received 0"),
    ("compile", "loss_weights: [1, 2]", r"loss_weights: there must be one for each loss, 1; received \[1, 2\]"),
    ("compile", "loss_weights: {a: 1}", r"loss_weights must be a number ≥ 0, or a list with one for each loss"),
    (
        "compile",
        "weighted_metrics: [accuracy]",
        r"weighted_metrics must be null or \[\] \(metrics count every image alike",
    ),
    ("compile", "verbose: 1", "`verbose` belongs under `fit`"),
    ("fit", "jit_compile: true", "`jit_compile` belongs under `compile`"),
    ("fit", "loss_weights: 2", "`loss_weights` belongs under `compile`"),
    ("compile", "steps_per_epoch: 3", "`steps_per_epoch` belongs under `fit`"),
    ("fit", "sample_weight: w", "`sample_weight` belongs under `data`"),
    ("fit", "steps_per_epoch: 0", "steps_per_epoch must be an integer ≥ 1, or null; received 0"),
    ("fit", "validation_freq: 0", "validation_freq must be an integer ≥ 1, or a list of such values; received 0"),
    ("fit", "initial_epoch: -1", "initial_epoch must be an integer ≥ 0; received -1"),
    ("fit", "verbose: 3", "verbose must be auto or 0 or 1 or 2"),
    ("fit", "validation_data: x", "save it as x_val and y_val, or set `validation_split` under `data`"),
    ("fit", "validation_split: 0.1", "`validation_split` belongs under `data`"),
]


@pytest.mark.parametrize(("section", "words", "answer"), ANSWERED, ids=[words for _, words, _ in ANSWERED])
def test_words_of_keras_that_are_not_accepted_are_answered(section, words, answer):
    with pytest.raises(SpecError, match=answer):
        spec(section, words)


def test_loss_weights_multiply_the_weights_of_the_losses():
    assert spec("compile", "loss_weights: 0.5").compile.loss.weight == 0.5
    assert spec("compile", "loss_weights: [2]").compile.loss.weight == 2
    made = spec("loss", "[{categorical_crossentropy: {weight: 3}}, mse], loss_weights: [0.5, 2]").compile
    assert [part.weight for part in made.loss.parts] == [1.5, 2]
    assert type(made)(**made.plain()) == made
