"""Whatever is registered goes over to another framework or is refused in one line, never with another exception."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cnncli.errors import UsageError
from cnncli.graph.model import INPUT, Model, Node
from cnncli.interop.peers.peer import FRAMEWORKS
from cnncli.layers.activation_functions import ACTIVATIONS
from cnncli.layers.initializers import Initializer
from cnncli.layers.layer import LAYERS, Layer
from cnncli.layers.loss import Loss, OfLogits
from cnncli.layers.losses import LOSSES
from cnncli.layers.meaning import Meaning
from cnncli.layers.vocabulary import layers
from cnncli.training.optimizers.optimizers import OPTIMIZERS, SGD, Adam
from cnncli.training.sections import CompileSection

ROOT = Path(__file__).parents[2]
TRAINING = [name for name, framework in FRAMEWORKS.items() if framework.trains]
EXAMPLES = [
    pytest.param(name, example, id=f"{name}-{number}")
    for name, cls in layers().items()
    for number, example in enumerate(cls.examples)
]


def translated(framework, nodes, shape, compiled=None):
    """What goes over, as JSON; the sentence where it is refused."""
    try:
        return json.loads(json.dumps(FRAMEWORKS[framework].translate(Model(shape, nodes), compiled)))
    except UsageError as error:
        said = str(error)
        assert re.fullmatch(f"--against {framework} knows no counterpart of [^\n]+", said)
        return said


def refusal(framework, nodes, shape, compiled=None):
    said = translated(framework, nodes, shape, compiled)
    assert isinstance(said, str), f"{framework} was to refuse it, not to run {said}"
    return said


def alone(layer, inputs=1):
    return (Node("l", layer, (INPUT,) * inputs),)


def trained(loss="mse", optimizer="sgd", activation="linear"):
    """A network with one dense layer, and how it is trained."""
    dense = LAYERS.parse({"Dense": {"units": 2, "activation": activation}})
    return alone(dense), (3,), CompileSection(loss=loss, optimizer=optimizer)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_every_layer_goes_over_or_is_refused(name, example, framework):
    layer = LAYERS.parse({name: dict(example.arguments)})
    if len(set(example.inputs)) == 1:
        translated(framework, alone(layer, len(example.inputs)), example.inputs[0])


REFUSED = {
    "torch": {"exponential", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus"},
    "tensorflow": {"threshold"},  # there only defaults go over
    "onnxruntime": set(),
    "openvino": set(),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ACTIVATIONS.classes)
def test_every_activation_goes_over_but_for_those_that_are_known_not_to(name, framework):
    nodes, shape, _ = trained(activation={name: dict(ACTIVATIONS.classes[name].examples[0])})
    assert isinstance(translated(framework, nodes, shape), str) == (name in REFUSED[framework])


@pytest.mark.parametrize("framework", TRAINING)
@pytest.mark.parametrize("name", LOSSES.classes)
def test_every_loss_goes_over_or_is_refused(name, framework):
    activation = LOSSES.classes[name]().activation
    made = translated(framework, *trained(loss=name, activation=activation))
    assert isinstance(made, str) or made["targets"] == LOSSES.classes[name].outputs.name.lower()


@pytest.mark.parametrize("framework", TRAINING)
@pytest.mark.parametrize("name", OPTIMIZERS.classes)
def test_every_optimizer_goes_over_or_is_refused(name, framework):
    translated(framework, *trained(optimizer=name))


class Exotic(Loss):
    """A loss that nobody else has."""

    kind = "mean_squared_error"
    outputs = Meaning.NUMBERS


class Focal(Loss):
    """Another one, of probabilities."""

    kind = "binary_cross_entropy"
    logits = OfLogits("sigmoid_cross_entropy", "sigmoid")
    outputs = Meaning.LABELS


class Panther(Adam):
    """An optimizer with Adam's arguments that is not Adam."""


class Restarted(SGD):
    """The same for SGD."""


class Own(Layer):
    """A layer of somebody's own."""

    activation: str = "relu"

    def lower(self, build, *inputs):
        return build.activation(inputs[0], self.activation)


@pytest.mark.parametrize("framework", TRAINING)
@pytest.mark.parametrize("own", [Exotic(), Focal(), Panther(learning_rate=1.0), Restarted(learning_rate=1.0)])
def test_a_loss_or_an_optimizer_without_a_translation_is_refused(own, framework):
    activation = own.activation if isinstance(own, Loss) else "linear"
    given = {"loss": own} if isinstance(own, Loss) else {"optimizer": own}
    what = f"the {next(iter(given))} {type(own).__name__}"
    assert refusal(framework, *trained(**given, activation=activation)).endswith(what)


@pytest.mark.parametrize("framework", TRAINING)
@pytest.mark.parametrize("own", [{"exclude": ["bias"], "weight_decay": 0.1}, {"multipliers": {"dense": 2}}])
def test_what_other_optimizers_do_not_have_is_refused(own, framework):
    what = refusal(framework, *trained(optimizer={"AdamW": own}))
    assert what.endswith(f"the optimizer AdamW with {next(iter(own))}")


@pytest.mark.parametrize("framework", TRAINING)
def test_what_has_no_effect_goes_over(framework):
    given = trained(optimizer={"Adam": {"name": "mine", "loss_scale_factor": 2}})
    assert isinstance(translated(framework, *given), dict)


@pytest.mark.parametrize("framework", TRAINING)
def test_an_activation_without_a_translation_is_refused(framework):
    activation = {"squareplus": {"b": 1.0}}
    called = "squareplus(b=1.0)"
    nodes, shape, _ = trained(activation=activation)
    assert refusal(framework, nodes, shape).endswith(f"of l (Dense) with activation {called}")
    layer = LAYERS.parse({"Activation": {"activation": activation}})
    assert refusal(framework, alone(layer), (4, 4, 2)).endswith(f"of l (Activation) with activation {called}")


class Orthogonal(Initializer):
    """An initializer of somebody's own."""


def test_what_a_layer_is_made_with_is_refused_too():
    dense = LAYERS.parse({"Dense": {"units": 2, "kernel_initializer": Orthogonal()}})
    nodes = (Node("{odd}", dense, (INPUT,)),)
    assert refusal("tensorflow", nodes, (3,)).endswith("of {odd} (Dense) with kernel_initializer Orthogonal")


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_a_layer_without_a_translation_is_refused(framework):
    assert refusal(framework, alone(Own()), (3,)).endswith("of l (Own)")


@pytest.mark.parametrize(
    ("loss", "what"),
    [({"BinaryCrossentropy": {"label_smoothing": 0.1}}, "the loss BinaryCrossentropy with label_smoothing")],
)
def test_arguments_of_a_loss_that_would_be_dropped_are_refused(loss, what):
    assert refusal("torch", *trained(loss=loss, activation="sigmoid")).endswith(what)


def test_graphs_are_built_without_the_other_frameworks():
    script = """
import json, sys
for name in ("onnx", "onnxruntime", "openvino", "torch", "keras", "tensorflow"):
    sys.modules[name] = None  # whoever imports it fails
from cnncli.interop.peers.peer import FRAMEWORKS
from cnncli.spec.spec import load
spec = load(sys.argv[1], check_data=False)
for framework in FRAMEWORKS.values():
    json.dumps(framework.translate(spec.model, spec.compile))
assert not {"numpy", "numba"} & set(sys.modules)
"""
    command = [sys.executable, "-c", script, str(ROOT / "tests" / "spec" / "digits.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
