"""Random graphs of all layers are in Keras what they are here: one epoch from the same weights.

It needs Keras: installed beside cnncli, or `CNNCLI_KERAS_PYTHON`, the Python of another environment with it. `--long`
compares 500 graphs instead of 20, and `CNNCLI_KERAS_SEEDS=500,50` the 50 from seed 500 on. `CNNCLI_KERAS_RESULTS` is a
file that gets a line of JSON for each graph: its words, and how far apart its numbers are; `python -m
tests.keras_page.measure FILE` keeps them for docs/keras.md.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cnncli.errors import SpecError, UsageError
from cnncli.graph.network import Network
from cnncli.interop.keras.network import translate
from cnncli.layers.activation_functions import ACTIVATIONS
from cnncli.layers.declarations.declaration import Declaration
from cnncli.spec.spec import parse
from cnncli.spec.validation.messages import REGISTRIES
from cnncli.training.loop.plan import Plan
from cnncli.training.optimizers.schedules import Schedule
from cnncli.training.runs import checkpoint
from cnncli.training.sections import CompileSection
from tests.interop.random_graphs import LEFT_OUT, NUMBERED, drawn
from tests.training import small

PYTHON = os.environ.get("CNNCLI_KERAS_PYTHON") or (sys.executable if find_spec("keras") else "")
HERE = Path(__file__).parent
SETTINGS = {"PYTHONPATH": str(HERE.parent / "fixtures")}
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not PYTHON, reason="needs Keras, or CNNCLI_KERAS_PYTHON with it"),
]


def pytest_generate_tests(metafunc):
    if "seed" in metafunc.fixturenames:
        first, count = map(int, os.environ.get("CNNCLI_KERAS_SEEDS", "0,20").split(","))
        metafunc.parametrize("seed", range(first, first + (500 if metafunc.config.getoption("--long") else count)))


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    """What sends a network to the process of Keras and waits for its answer."""
    errors = (tmp_path_factory.mktemp("keras") / "errors").open("w+")
    process = subprocess.Popen(
        [PYTHON, str(HERE / "keras_fit.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, **SETTINGS},
        text=True,
    )

    def ask(path, network):
        process.stdin.write(json.dumps({"path": str(path), "network": network}) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith("ANSWER "):
                return json.loads(line.removeprefix("ANSWER "))
        raise AssertionError(Path(errors.name).read_text()[-2000:])

    yield ask
    process.communicate()
    errors.close()


def valid(seed, folder):
    """The spec of the first graph that the rules across sections allow, of those drawn from a seed."""
    for number in range(seed * 1000, seed * 1000 + 100):
        tree = drawn(number)
        data(folder, number, tree["model"]["input_shape"])
        try:
            spec = parse(json.dumps(tree), str(folder / "random.yaml"))
            return number, spec, described(spec, tree["compile"])
        except (SpecError, UsageError):
            continue
    raise AssertionError("no valid graph in 100")


def described(spec, tree):
    """The network for keras_fit. What Keras takes elsewhere than in these declarations is beside them."""
    ((optimizer, options),) = tree["optimizer"].items()
    ((loss, arguments),) = tree["loss"].items()
    rate = spec.compile.optimizer.learning_rate
    schedule = (
        {"class_name": type(rate).__name__, "config": {**rate.plain(), "name": "rate"}}
        if isinstance(rate, Schedule)
        else None
    )
    plain = {**options, "exclude": [], **({"learning_rate": 0.01} if schedule else {})}
    compiled = CompileSection(loss="mean_squared_error", optimizer={optimizer: plain})
    return {
        **translate(spec.model, compiled),
        "loss": {"class_name": loss, "config": {key: value for key, value in arguments.items() if key != "weight"}},
        "loss_weights": arguments.get("weight", 1.0),
        "schedule": schedule,
        "exclude": options.get("exclude"),
        "metrics": metrics(spec.compile, of_numbers=loss in NUMBERED),
        "batch_size": 5,
    }


def data(folder, seed, shape, *, of_numbers=False):
    """Write `data.npz`: 17 samples of three classes to train on, 7 to validate; return them as Keras takes them."""
    random = np.random.default_rng(seed)
    x, y = random.standard_normal((24, *shape)).astype(np.float32), random.permutation(24) % 3
    np.savez(folder / "data.npz", x_train=x[:17], y_train=y[:17], x_val=x[17:], y_val=y[17:])
    targets = y if of_numbers else np.eye(3, dtype=np.float32)[y]
    return {"x": x[:17], "y": targets[:17], "x_val": x[17:], "y_val": targets[17:]}


def metrics(compiled, *, of_numbers):
    """Keras' configurations; those of confusion matrices are told the form of targets."""
    form = {"num_classes": 3, "sparse_y_true": of_numbers, "sparse_y_pred": False}
    return [
        {
            "class_name": type(metric).__name__,
            "config": {
                **{key: value for key, value in metric.plain().items() if value is not None},
                **(form if type(metric).__name__ in ("IoU", "MeanIoU") else {}),
            },
        }
        for metric in compiled.metrics
    ]


def predicted(spec, weights, x):
    network = Network(spec.model, spec.compile.loss, batch_size=len(x), threads=1)
    network.load(weights)
    network.inputs[...] = x
    network.predict(len(x))
    return next(iter(network.predictions.values()))[: len(x)].copy()


def test_an_epoch_is_that_of_keras(tmp_path, keras, seed):
    number, spec, network = valid(seed, tmp_path)
    print(spec.to_yaml())  # for pytest to show if it fails
    given = data(tmp_path, number, spec.model.input_shape, of_numbers=network["loss"]["class_name"] in NUMBERED)
    fresh = Network(spec.model, spec.compile.loss, batch_size=5, threads=1)
    fresh.initialize(spec.seed)
    start = {name: array.copy() for name, array in fresh.tensors().items()}
    np.savez(tmp_path / "start.npz", **start, **given)
    answer = keras(tmp_path / "start.npz", network)
    assert "error" not in answer, answer
    plan = Plan(spec.name, spec.seed, spec.data, tmp_path, spec.model, spec.compile, spec.fit, spec.to_yaml(), {})
    small.run(plan, tmp_path / "run", threads=1)
    (line,) = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    theirs = dict(np.load(tmp_path / "start.npz.out.npz"))
    ours = checkpoint.load(tmp_path / "run" / "best.safetensors").weights
    assert ours.keys() == start.keys() == theirs.keys() - {"before"}
    figures = {f"history: {name}": (line[name], value) for name, value in answer["history"].items()}
    tensors = {name: (value, theirs[name]) for name, value in ours.items()}
    apart = {
        "outputs": near({"outputs": (predicted(spec, start, given["x_val"]), theirs["before"])}, 1e-5),
        "figures": near(figures, 1e-4),
        "weights": near(tensors, 1e-4),
    }
    record(spec, apart)


def near(pairs, tolerance):
    """The largest distance of pairs, over the largest number of each; it must be within the tolerance."""
    apart = {what: distance(*map(np.asarray, pair)) for what, pair in pairs.items()}
    assert max(apart.values(), default=0.0) <= tolerance, {what: far for what, far in apart.items() if far > tolerance}
    return max(apart.values(), default=0.0)


def distance(got, expected):
    assert got.shape == expected.shape
    finite = np.isfinite(expected)  # the logarithm of a negative prediction is not
    assert (np.isfinite(got) == finite).all()
    largest = np.abs(expected[finite]).max(initial=1.0)
    return float(np.abs(got.astype(np.float64) - expected)[finite].max(initial=0.0) / largest)


def record(spec, apart):
    if "CNNCLI_KERAS_RESULTS" in os.environ:
        with Path(os.environ["CNNCLI_KERAS_RESULTS"]).open("a") as file:
            file.write(json.dumps({"seed": spec.seed, "words": words(spec), "apart": apart}) + "\n")


def words(spec):
    """By kind: the names of all declarations of a spec that Keras is compared with."""
    found = {}
    layers = [node.layer for node in spec.model.nodes]
    for declaration in within([*layers, spec.compile.loss, spec.compile.optimizer, *spec.compile.metrics]):
        kind = next(kind for kind, registry in REGISTRIES.items() if isinstance(declaration, registry.base))
        name = type(declaration).__name__
        found.setdefault(kind, []).append(ACTIVATIONS.spell(name) if kind == "activation" else name)
    return found


def within(declarations):
    for declaration in declarations:
        yield declaration
        yield from within(value for value in declaration.settings().values() if isinstance(value, Declaration))


def test_what_is_left_out_says_why():
    assert all(LEFT_OUT.values())
