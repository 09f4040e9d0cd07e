"""What Keras is asked to build: our own words, as Keras writes configurations."""

import json
from pathlib import Path

import pytest

from cnncli.errors import UsageError
from cnncli.graph.model import INPUT, Model, Node
from cnncli.interop.keras.network import translate
from cnncli.layers.layer import Layer
from cnncli.layers.vocabulary import LAYERS
from cnncli.spec.spec import load
from cnncli.training.sections import CompileSection

ROOT = Path(__file__).parents[2]


def test_the_seed_network_in_keras_words():
    spec = load(ROOT / "tests" / "spec" / "digits.yaml")
    made = json.loads(json.dumps(translate(spec.model, spec.compile)))
    assert made["input_shape"] == [28, 28, 1]
    assert [node["layer"]["class_name"] for node in made["nodes"]] == [
        "Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dense",
    ]  # fmt: skip
    first = made["nodes"][0]["layer"]["config"]
    assert (first["filters"], first["kernel_size"], first["activation"]) == (32, [3, 3], "relu")
    assert first["kernel_initializer"] == {"class_name": "GlorotUniform", "config": {}}
    assert made["loss"] == {
        "class_name": "CategoricalCrossentropy",
        "config": {"from_logits": False, "label_smoothing": 0.0},
    }
    assert made["optimizer"]["class_name"] == "Adam"
    assert made["optimizer"]["config"]["learning_rate"] == 0.001


def test_a_graph_says_who_reads_whom():
    nodes = (
        Node("a", LAYERS.parse({"Activation": {"activation": "tanh"}}), (INPUT,)),
        Node("stage/sum", LAYERS.parse("Add"), (INPUT, "a")),
    )
    made = translate(Model((3,), nodes), CompileSection(loss="mse", optimizer="sgd"))
    assert [(node["name"], node["inputs"]) for node in made["nodes"]] == [("a", [INPUT]), ("stage/sum", [INPUT, "a"])]


def test_class_numbers_are_given_as_rows():
    nodes = (Node("out", LAYERS.parse({"Dense": {"units": 2}}), (INPUT,)),)
    loss = {"SparseCategoricalCrossentropy": {"from_logits": True}}
    made = translate(Model((3,), nodes), CompileSection(loss=loss, optimizer="sgd"))
    assert made["loss"] == {"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}}


def test_a_layer_of_somebody_else_has_no_counterpart():
    class Doubled(Layer):
        """Twice the input."""

    model = Model((3,), (Node("twice", Doubled(), (INPUT,)),))
    with pytest.raises(UsageError, match=r"^--against tensorflow knows no counterpart of twice \(Doubled\)$"):
        translate(model, CompileSection(loss="mse", optimizer="sgd"))


def test_for_inference_neither_loss_nor_optimizer_goes_over():
    spec = load(ROOT / "configs" / "resnet20.yaml", check_data=False)
    assert translate(spec.model, None).keys() == {"input_shape", "nodes"}


def test_a_schedule_has_no_counterpart_because_there_are_no_epochs():
    decay = {"learning_rate": {"CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": "9 epochs"}}}
    model = Model((3,), (Node("sum", LAYERS.parse("Flatten"), (INPUT,)),))
    with pytest.raises(UsageError, match="no counterpart of the optimizer SGD with a schedule"):
        translate(model, CompileSection(loss="mse", optimizer={"SGD": decay}))
