"""What is allowed in a spec and rarely meant is warned of, at its place; what is usual is not."""

from pathlib import Path

import pytest

from cnncli.spec.spec import load, parse

HEAD = "data: {dataset: mnist5k}\nmodel:\n  layers:\n"
LOGITS = "{%s: {from_logits: true}}"


def warned(
    *layers, loss="categorical_crossentropy", optimizer="sgd", metrics="accuracy", data="dataset: mnist5k", sets=()
):
    """(line, message) of each warning. The first layer stands in line 4."""
    lines = "".join(f"    - {layer}\n" for layer in layers)
    text = (
        HEAD.replace("dataset: mnist5k", data)
        + lines
        + f"compile: {{optimizer: {optimizer}, loss: {loss}, metrics: [{metrics}]}}\n"
    )
    found = [warning.text for warning in parse(text, "f.yaml", sets).warnings]
    for text in found:
        assert text.startswith(("f.yaml:", "--set "))
        assert "warning: " in text
    return [(int(text.split(":")[1]), text.partition("\n")[0].partition("warning: ")[2]) for text in found]


def dense(activation, units=10):
    return f"Dense: {{units: {units}, activation: {activation}}}"


CATEGORICAL, SPARSE, BINARY = "categorical_crossentropy", "sparse_categorical_crossentropy", "binary_crossentropy"
NEITHER = "{} expects probabilities, but the output comes from neither a softmax nor a sigmoid: use `activation: {}`"
OTHER = (
    "as in Keras, {} is computed from the {} of the logits before this {}, although the model outputs the {}: use {}"
)


@pytest.mark.parametrize(
    ("loss", "layers", "expected"),
    [
        (CATEGORICAL, [dense("softmax")], ""),
        (BINARY, [dense("sigmoid")], ""),
        (SPARSE, [dense("linear"), "Softmax"], ""),
        ("mse", [dense("linear")], ""),
        (BINARY, [dense("hard_sigmoid")], ""),
        (CATEGORICAL, [dense("softmax"), "Flatten"], ""),
        (CATEGORICAL, [dense("softmax", 20), dense("linear")], NEITHER.format(CATEGORICAL, "softmax")),
        (SPARSE, [dense("relu")], NEITHER.format(SPARSE, "softmax")),
        (BINARY, [dense("tanh")], NEITHER.format(BINARY, "sigmoid")),
        ("dice", [dense("linear")], NEITHER.format("dice", "sigmoid")),
        ("kl_divergence", [dense("linear")], NEITHER.format("kl_divergence", "softmax")),
        ("dice", [dense("softmax")], ""),
        (f"[{CATEGORICAL}, {{dice: {{weight: 2}}}}]", [dense("softmax")], ""),
        (f"[mse, {BINARY}]", [dense("tanh")], NEITHER.format(BINARY, "sigmoid")),
        (BINARY, [dense("softmax")], OTHER.format(BINARY, "sigmoid", "softmax", "softmax", "sigmoid")),
        (CATEGORICAL, [dense("sigmoid")], OTHER.format(CATEGORICAL, "softmax", "sigmoid", "sigmoid", "softmax")),
    ],
)
def test_cross_entropies_of_what_their_own_activation_did_not_make_are_warned_of_at_the_last_layer(
    loss, layers, expected
):
    found = warned("Flatten", *layers, loss=loss)
    assert len(found) == bool(expected)
    if expected:
        line, message = found[0]
        assert line == 4 + len(layers)
        assert message.startswith(expected)


def test_a_softmax_along_another_axis_is_warned_of():
    data = "dataset: {synthetic: {image_shape: [8, 8, 1], classes: 2}}, targets: masks"
    layers = ("Conv2D: {filters: 3, kernel_size: 1}", "Softmax: {axis: 1}")
    ((line, message),) = warned(*layers, data=data)
    other = "softmax along another axis"
    assert (line, message) == (5, OTHER.format(CATEGORICAL, "softmax", other, other, "softmax"))


@pytest.mark.parametrize(
    ("loss", "last", "metric", "messages"),
    [
        (CATEGORICAL, [dense("linear")], "accuracy", []),
        (BINARY, [dense("linear")], "binary_accuracy: {threshold: 0}", []),
        (BINARY, [dense("linear")], "binary_accuracy", ["binary_accuracy compares logits to 0.5, as in Keras, but"]),
        (CATEGORICAL, [dense("linear")], "auc: {from_logits: true}", []),
        (CATEGORICAL, [dense("linear")], "f1_score", []),
        (CATEGORICAL, [dense("linear")], "auc", ["auc takes the outputs for probabilities, but they are logits: set"]),
        (BINARY, [dense("linear")], "precision", ["precision takes the outputs for probabilities, but they are lo"]),
        (CATEGORICAL, [dense("softmax")], "accuracy", ["from_logits has no effect: the logits before the softmax"]),
        (BINARY, [dense("sigmoid")], "binary_accuracy", ["from_logits has no effect: the logits before the sigmoid"]),
        (SPARSE, [dense("softmax"), "Flatten"], "accuracy", ["from_logits expects logits, but the output comes from"]),
    ],
)
def test_logits_that_are_none_and_metrics_that_take_them_for_probabilities_are_warned_of(loss, last, metric, messages):
    found = warned("Flatten", *last, loss=LOGITS % loss, metrics=f"{{{metric}}}" if ":" in metric else metric)
    assert len(found) == len(messages)
    for (line, message), expected in zip(found, messages, strict=True):
        assert line == 5 + len(last)
        assert message.startswith(expected)


def test_accuracy_of_a_single_logit_compares_it_with_a_half():
    data = "dataset: {synthetic: {image_shape: [8, 8, 1], classes: 2}}"
    ((line, message),) = warned("Flatten", dense("linear", 1), loss=LOGITS % BINARY, data=data)
    assert (line, message.partition(",")[0]) == (6, "accuracy compares logits to 0.5")
    assert message.endswith("use `binary_accuracy: {threshold: 0}`")


def test_images_that_are_scaled_twice_are_warned_of_unless_the_spec_says_how():
    layers = "Conv2D: {filters: 2, kernel_size: 3}", "Rescaling: {scale: 1/255}", "Flatten", dense("softmax")
    ((line, message),) = warned(*layers)
    assert line == 5
    assert message.startswith("images are divided by 255 before the model and rescaled again by this Rescaling")
    for settled in ("1", "1/255"):
        assert not warned(*layers, sets=[f"data.rescale={settled}"])
    assert not warned("ZeroPadding2D", *layers[1:])  # which is looked through


def test_images_that_auto_leaves_are_not_scaled_twice(tmp_path):
    import numpy as np

    np.savez(tmp_path / "floats.npz", x_train=np.zeros((4, 5, 5), np.float32), y_train=np.arange(4) % 2)
    layers = "Conv2D: {filters: 2, kernel_size: 3}", "Rescaling: {scale: 1/255}", "Flatten", dense("softmax", 2)
    assert not warned(*layers, data=f"dataset: {tmp_path}/floats.npz")


def test_the_bare_name_of_no_penalty_is_warned_of():
    def found(regularizer):
        return warned("Flatten", f"Dense: {{units: 10, activation: softmax, kernel_regularizer: {regularizer}}}")

    ((line, message),) = found("l1l2")
    assert (line, message.partition(",")[0]) == (5, "kernel_regularizer L1L2 has no effect")
    assert not any(found(regularizer) for regularizer in ("l2", "{l1l2: {l2: 0.1}}", "null"))


def test_warm_up_steps_without_a_target_are_warned_of():
    def found(more):
        cosine = f"{{CosineDecay: {{initial_learning_rate: 0.1, decay_steps: 9{more}}}}}"
        return warned("Flatten", dense("softmax"), optimizer=f"{{SGD: {{learning_rate: {cosine}}}}}")

    ((_, message),) = found(", warmup_steps: 5")
    assert message.startswith("CosineDecay's warmup_steps have no effect without a warmup_target")
    assert not found("")
    assert not found(", warmup_steps: 5, warmup_target: 0.2")


def test_a_merge_of_one_input_is_warned_of():
    ((line, message),) = warned("Flatten", "Add", dense("softmax"))
    assert (line, message.partition(":")[0]) == (5, "Add of one input returns it")
    assert not warned("Flatten", "Add: {inputs: [previous, previous]}", dense("softmax"))


def test_a_warning_of_an_override_has_its_place():
    found = parse(
        HEAD + "    - Flatten\n    - Dense: {units: 10, activation: softmax}\n"
        "compile: {optimizer: sgd, loss: categorical_crossentropy}\n",
        "f.yaml",
        ["compile.loss={categorical_crossentropy: {from_logits: true}}"],
    ).warnings
    assert [warning.text.partition(": warning: ")[0] for warning in found] == [
        "--set compile.loss={categorical_crossentropy: {from_logits: true}}"
    ]


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")), ids=lambda path: path.stem
)
def test_specs_that_ship_are_not_warned_of(path):
    assert load(path).warnings == ()


@pytest.mark.parametrize(
    ("arguments", "at", "warned_of", "fit"),
    [
        ("{patience: 2}", 4, True, []),
        ("{patience: 2}", 3, False, []),
        ("{patience: 0, start_from_epoch: 3}", 4, False, []),
        ("{patience: 0}", 4, False, ["fit.initial_epoch=3"]),
        ("{patience: 2}", 7, False, ["fit.validation_freq=3"]),  # only the epochs 3 and 6 are before
        ("{patience: 1}", 7, True, ["fit.validation_freq=[3, 6]"]),
        ("{patience: 2, monitor: loss}", 7, True, ["fit.validation_freq=3"]),
    ],
)
def test_stopping_before_frozen_layers_train_is_warned_of(arguments, at, warned_of, fit):
    sets = ["data.validation_split=0.1", "fit.epochs=9", *fit, f"fit.callbacks=[{{EarlyStopping: {arguments}}}]"]
    layers = ["Conv2D: {filters: 2, kernel_size: 3}", "Flatten", dense("softmax")]
    assert warned(*layers, sets=sets) == []
    found = parse(
        HEAD + "".join(f"    - {layer}\n" for layer in layers) + "compile: {optimizer: sgd, loss: mse}\n",
        "f.yaml",
        [*sets, "compile.loss=categorical_crossentropy", "model.freeze=[conv2d]", f"model.unfreeze_at={at}"],
    ).warnings
    assert [warning.message for warning in found] == [
        f"EarlyStopping may end the training before epoch {at}, from which on all layers train: "
        f"`start_from_epoch: {at - 1}`"
    ] * warned_of


@pytest.mark.parametrize(
    ("fit", "said"),
    [
        ("epochs: 3, initial_epoch: 3", ["nothing is trained: initial_epoch 3 is not below epochs, 3"]),
        ("epochs: 3, validation_freq: 4", ["no epoch is validated: validation_freq names none that is trained"]),
        ("epochs: 3, validation_freq: [1], initial_epoch: 1", ["no epoch is validated: validation_freq names none"]),
        ("epochs: 3, validation_freq: [1, 3], initial_epoch: 1", []),
        ("epochs: 0, validation_freq: 4", []),
    ],
)
def test_epochs_that_are_not_trained_or_not_validated_are_warned_of(fit, said):
    text = f"""
data: {{dataset: mnist5k, validation_split: 0.1}}
model: {{layers: [Flatten, {dense("softmax")}]}}
compile: {{optimizer: adam, loss: categorical_crossentropy}}
fit: {{{fit}}}
"""
    found = [warning.text for warning in parse(text, "f.yaml").warnings]
    assert len(found) == len(said)
    assert all(part in one for one, part in zip(found, said, strict=True))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("fit.epochs: {int: [3, 3]}", ["fit.epochs has a single value, 3: nothing is searched"]),
        ("fit.epochs: {int: [1, 3, 3]}", ["fit.epochs has a single value, 1: nothing is searched"]),
        ("fit.epochs: {choice: [3]}", ["fit.epochs has a single value, 3: nothing is searched"]),
        ("fit.epochs: {int: [1, 3, 2]}", []),
        (
            "compile.optimizer.learning_rate: {uniform: [0.1, 1]}, compile.optimizer: {choice: [SGD, Adam]}",
            ["compile.optimizer comes later and replaces compile.optimizer.learning_rate: put it first"],
        ),
        ("compile.optimizer: {choice: [SGD, Adam]}, compile.optimizer.learning_rate: {uniform: [0.1, 1]}", []),
        ("sampler: cmaes, fit.epochs: {int: [1, 3]}", ["sampler cmaes draws at random unless there are two ranges"]),
        ("sampler: cmaes, fit.epochs: {int: [1, 3]}, fit.batch_size: {int: [1, 3]}", []),
    ],
)
def test_a_search_for_nothing_is_warned_of(parameters, said):
    text = f"""
data: {{dataset: mnist5k, validation_split: 0.1}}
model: {{layers: [Flatten, {dense("softmax")}]}}
compile: {{optimizer: adam, loss: categorical_crossentropy}}
tune: {{{parameters}}}
"""
    found = [warning.message for warning in parse(text, "f.yaml").warnings]
    assert len(found) == len(said)
    assert all(part in one for one, part in zip(found, said, strict=True))
