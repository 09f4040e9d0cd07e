"""Exported .keras archives: their layout against Keras' own, and in Keras itself where there is one.

`CNNCLI_KERAS_PYTHON` is the Python of an environment with Keras; without it, what needs it is skipped.
"""

import io
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cnncli.errors import UsageError
from cnncli.graph.model import INPUT, Model, Node, lower, only
from cnncli.graph.network import Network
from cnncli.interop.exports.exported import Exported, ExportOptions
from cnncli.interop.keras.functional import group_names, layer_order
from cnncli.layers.layer import LAYERS
from cnncli.layers.meaning import Meaning
from cnncli.notices import heard_by
from cnncli.spec.spec import parse
from cnncli.training.metrics.vocabulary import METRICS
from cnncli.training.optimizers.update import Update
from cnncli.training.state import State
from tests.interop.models import OneLayer, examples

h5py = pytest.importorskip("h5py", reason="needs the package h5py")
PYTHON = os.environ.get("CNNCLI_KERAS_PYTHON") or (sys.executable if find_spec("keras") else "")
HERE = Path(__file__).parent
CASES = json.loads((HERE.parent / "fixtures" / "archives.json").read_text())["cases"]
live = pytest.mark.skipif(not PYTHON, reason="needs Keras, or CNNCLI_KERAS_PYTHON with it")
SPEC = """\
name: made
data: {{dataset: {{synthetic: {{}}}}}}
model:
  input_shape: [6, 5, 2]
  layers:
    - Conv2D: {{filters: 4, kernel_size: 3, activation: relu, kernel_regularizer: l2, name: first/conv}}
    - BatchNormalization: {{momentum: 0.9}}
    - Flatten
    - Dense: {{units: 3, activation: softmax}}
compile:
  optimizer: {optimizer}
  loss: categorical_crossentropy
  metrics: [accuracy]
fit: {{epochs: 9}}
"""
STEPS, BATCH, BEFORE, AFTER = 4, 8, 6, 20


def export(exported):
    from cnncli.interop.exports import keras_archive  # needs h5py

    return keras_archive.export(exported, ExportOptions())


def spec_of(optimizer="adam"):
    return parse(SPEC.format(optimizer=json.dumps(optimizer)), "made.yaml", check_data=False)


@pytest.mark.parametrize("case", CASES, ids=map(str, range(len(CASES))))
def test_layers_are_addressed_as_keras_does_in_any_graph(case):
    model = Model((3,), tuple(Node(name, None, tuple(inputs)) for name, _, inputs in case["nodes"]))
    order = layer_order(model)
    kinds = {name: kind for name, kind, _ in case["nodes"]} | {INPUT: "InputLayer"}
    assert order == case["order"]
    assert group_names([kinds[name] for name in order]) == case["groups"]


class Trained:
    """A network that has been trained for some batches, as a checkpoint knows it, and batches to go on with."""

    def __init__(self, optimizer):
        self.spec = spec_of(optimizer)
        network = Network(self.spec.model, self.spec.compile.loss, batch_size=BATCH)
        network.initialize(3)
        update = Update(network, self.spec.compile.optimizer, batches=STEPS)
        random = np.random.default_rng(0)
        labels = random.integers(0, 3, (BEFORE + AFTER, BATCH))
        self.ys = np.eye(3, dtype=np.float32)[labels]
        self.xs = random.random((BEFORE + AFTER, BATCH, 6, 5, 2), np.float32) + labels[..., None, None, None] / 4
        self.xs = self.xs.astype(np.float32)
        self.losses = []
        for step, (x, y) in enumerate(zip(self.xs, self.ys, strict=True), 1):
            if step == BEFORE + 1:
                self._keep(network, update)
            network.inputs[...], only(network.targets)[...] = x, y
            network.train_step(BATCH, 0, step)
            self.losses.append(float(network.losses.mean()) + network.penalty())
            update.run(step)

    def _keep(self, network, update):
        slots = {
            f"{slot}/{name}": tensor.copy()
            for slot, arena in update.slots.items()
            for name, tensor in arena.tensors().items()
        }
        weights = {name: tensor.copy() for name, tensor in network.tensors().items()}
        progress = State(data="", epoch=BEFORE // STEPS, batch=BEFORE % STEPS, step=BEFORE)
        self.exported = Exported(self.spec, weights, [], Meaning.CLASSES, 1.0, slots=slots, progress=progress)


def parts(content):
    """The configuration, and the file of weights."""
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.testzip() is None
    return json.loads(archive.read("config.json")), h5py.File(io.BytesIO(archive.read("model.weights.h5")))


def test_weights_and_the_state_of_the_optimizer_lie_where_keras_has_them():
    made = Trained({"Adam": {"amsgrad": True}}).exported
    config, file = parts(export(made))
    weights, slots = made.weights, made.slots
    for group, name in {"conv2d": "first/conv", "batch_normalization": "batch_normalization", "dense": "dense"}.items():
        own = [weight for key, weight in weights.items() if key.rpartition("/")[0] == name]
        for number, weight in enumerate(own):
            np.testing.assert_array_equal(file[f"layers/{group}/vars/{number}"], weight)
    own = file["optimizer/vars"]
    trained = [name for name in weights if "moving" not in name]
    assert (own["0"][()], own["1"][()]) == (BEFORE, np.float32(0.001))
    expected = [slots[f"{slot}/{name}"] for name in trained for slot in ("momentum", "velocity")]
    expected += [slots[f"velocity_hat/{name}"] for name in trained]
    assert len(own) == 2 + len(expected)
    for number, array in enumerate(expected, 2):
        np.testing.assert_array_equal(own[str(number)], array)
    names = [layer["name"] for layer in config["config"]["layers"]]
    assert names == ["input", "first.conv", "batch_normalization", "flatten", "dense"]
    assert config["compile_config"]["metrics"] == ["accuracy"]


def metrics_of(metrics, loss="categorical_crossentropy"):
    """The metrics of an archive, and the warnings."""
    spec = spec_of()
    spec = replace(spec, compile=spec.compile.replace(metrics=metrics, loss=loss))
    weights = {p.name: np.ones(p.weight.shape, np.float32) for p in lower(spec.model).parameters}
    said = []
    with heard_by(said.append):
        content = export(Exported(spec, weights, [], Meaning.CLASSES, 1.0))
    return parts(content)[0]["compile_config"]["metrics"], said, content


NAMED = [
    "accuracy",
    {"Precision": {"class_id": 1, "name": "of_1"}},
    "auc",
    "f1_score",
    "mean_iou",
    "categorical_accuracy",
]


def test_metrics_that_keras_computes_of_the_same_targets_go_along():
    found, said, _ = metrics_of([*NAMED, "cohen_kappa", "sparse_categorical_accuracy"])
    assert [one if isinstance(one, str) else one["class_name"] for one in found] == [
        *("accuracy", "Precision", "AUC", "F1Score", "MeanIoU", "CategoricalAccuracy"),
    ]
    assert found[1]["config"] == {"class_id": 1, "name": "of_1"}
    assert found[4]["config"] == {"num_classes": 3, "sparse_y_true": False, "sparse_y_pred": False}
    assert [text.split(",")[0] for text in said] == [
        "the Keras model has no metric CohenKappa",
        "the Keras model has no metric SparseCategoricalAccuracy",
    ]
    found, said, _ = metrics_of(["auc", "sparse_categorical_accuracy"], "sparse_categorical_crossentropy")
    assert [one["class_name"] for one in found] == ["SparseCategoricalAccuracy"]
    assert len(said) == 1


def test_metrics_that_only_we_have_are_those_that_keras_lacks():
    from cnncli.interop.exports.keras_archive import OF_ROWS, ONLY_HERE

    theirs = set(json.loads((HERE.parent / "fixtures" / "names.json").read_text())["metrics"])
    assert set(ONLY_HERE) == METRICS.classes.keys() - theirs
    assert set(OF_ROWS) <= METRICS.classes.keys()


def test_a_schedule_in_epochs_is_one_in_batches_as_far_as_these_are_known():
    schedule = {"Adam": {"learning_rate": {"CosineDecay": {"initial_learning_rate": 0.01, "decay_steps": "9 epochs"}}}}
    made = Trained(schedule).exported
    made.progress.batch, made.progress.step = 0, 8
    made.progress.epoch = 2
    rate = parts(export(made))[0]["compile_config"]["optimizer"]["config"]["learning_rate"]
    assert (rate["class_name"], rate["config"]["decay_steps"]) == ("CosineDecay", 9 * 4)
    said = []
    with heard_by(said.append):
        config, file = parts(export(Exported(made.spec, made.weights, [], Meaning.CLASSES, 1.0)))
    assert config["compile_config"]["optimizer"]["config"]["learning_rate"] == 0.01
    assert (file["optimizer/vars/0"][()], len(file["optimizer/vars"])) == (0, 2 + 2 * 6)
    assert len(said) == 1


def test_layers_that_keras_lacks_are_refused_by_name():
    layer = LAYERS.parse({"LayerScale": {"init_values": 0.1, "projection_dim": 3}})
    spec = spec_of()
    spec = replace(spec, model=Model((3,), (Node("scale", layer, (INPUT,)),)))
    with pytest.raises(UsageError, match=r"^--format keras knows no counterpart of scale \(LayerScale\)$"):
        export(Exported(spec, {"scale/gamma": np.ones(3, np.float32)}, [], Meaning.CLASSES, 1.0))


def test_a_loss_that_keras_lacks_is_a_model_that_is_not_compiled():
    spec = spec_of()
    loss = spec.compile.replace(loss={"categorical_crossentropy": {"weight": 2}})
    weights = {p.name: np.ones(p.weight.shape, np.float32) for p in lower(spec.model).parameters}
    said = []
    with heard_by(said.append):
        config, _ = parts(export(Exported(replace(spec, compile=loss), weights, [], Meaning.CLASSES, 1.0)))
    assert "compile_config" not in config
    assert said == [
        "the Keras model is not compiled: Keras knows no counterpart of the loss CategoricalCrossentropy with a weight"
    ]


def loaded(folder):
    """What Keras makes of the archives in a folder, by name."""
    settings = {"PYTHONPATH": str(HERE.parent / "fixtures")}
    done = subprocess.run(
        [PYTHON, str(HERE / "keras_load.py"), str(folder)],
        env={**os.environ, **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {path.name.partition(".")[0]: dict(np.load(path)) for path in folder.glob("*.out.npz")}


UNABLE = {"AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D", "Conv2DTranspose"}
"""Some examples of these are more than Keras can do on TensorFlow and a CPU: windows of one row, dilation."""


SPARSEMAX = {case for case, name, arguments, _ in examples() if "sparsemax" in str(arguments)}
"""Examples of sparsemax, which does not sum to 1 in Keras 3.15 (keras-team/keras#23425)."""


@live
@pytest.mark.long
def test_keras_computes_of_every_layer_what_its_naive_twin_does(tmp_path):
    expected, spec = {}, spec_of()
    for case, name, arguments, shapes in examples():
        one = OneLayer(name, arguments, shapes)
        if len(shapes) > 1:
            continue
        try:
            content = export(Exported(replace(spec, model=one.model), one.weights, [], Meaning.NUMBERS, 1.0))
        except UsageError:
            continue
        (tmp_path / f"{case}.keras").write_bytes(content)
        np.savez(tmp_path / f"{case}.npz", x=one.x)
        expected[case] = one.expected
    found = loaded(tmp_path)
    assert found.keys() == expected.keys()
    failed = {case for case, result in found.items() if "error" in result}
    assert {case.partition("-")[0] for case in failed} <= UNABLE
    apart = {
        case: float(np.abs(found[case]["y"] - expected[case]).max() / max(1.0, np.abs(expected[case]).max()))
        for case in expected.keys() - failed
        if case not in SPARSEMAX
    }
    assert {case: distance for case, distance in apart.items() if not distance <= 1e-5} == {}


OPTIMIZERS = {
    "nadam": "nadam",
    "sgd": {"SGD": {"momentum": 0.9, "nesterov": True}},
    "adam": "adam",
    "amsgrad": {"Adam": {"amsgrad": True}},
    "adamw": "adamw",
    "adamax": "adamax",
    "lamb": "lamb",
    "rmsprop": {"RMSprop": {"momentum": 0.5, "centered": True}},
    "adagrad": "adagrad",
    "adadelta": "adadelta",
    "lion": {"Lion": {"learning_rate": 0.0001}},
    "ftrl": "ftrl",
    "averaged": {"Adam": {"use_ema": True, "clipnorm": 0.5}},
    "accumulated": {"Adam": {"gradient_accumulation_steps": 2}},
    "decaying": {"SGD": {"learning_rate": {"CosineDecay": {"initial_learning_rate": 0.01, "decay_steps": 30}}}},
}


@live
@pytest.mark.long
def test_keras_computes_the_metrics_that_go_along(tmp_path):
    (tmp_path / "metrics.keras").write_bytes(metrics_of(NAMED)[2])
    random = np.random.default_rng(0)
    x, y = random.random((1, 6, 6, 5, 2), np.float32), np.eye(3, dtype=np.float32)[random.integers(0, 3, (1, 6))]
    np.savez(tmp_path / "metrics.npz", x=x[0], xs=x, ys=y)
    found = loaded(tmp_path)["metrics"]
    assert {"accuracy", "of_1", "categorical_accuracy"} <= {*found["names"]}


@live
@pytest.mark.long
def test_fit_goes_on_in_keras_where_the_training_stopped(tmp_path):
    trained = {name: Trained(optimizer) for name, optimizer in OPTIMIZERS.items()}
    for name, one in trained.items():
        (tmp_path / f"{name}.keras").write_bytes(export(one.exported))
        np.savez(tmp_path / f"{name}.npz", x=one.xs[0], xs=one.xs[BEFORE:], ys=one.ys[BEFORE:])
    for name, found in loaded(tmp_path).items():
        np.testing.assert_allclose(found["losses"], trained[name].losses[BEFORE:], rtol=1e-4, err_msg=name)
