"""Random graphs of all layers are in Keras what they are here: one epoch from the same weights.

It needs Keras: installed beside cnncli, or `CNNCLI_KERAS_PYTHON`, the Python of another environment with it. `--long`
compares 500 graphs instead of 20. `CNNCLI_KERAS_RESULTS` is a file that gets a line of JSON for each graph: its
words, and how far apart its numbers are; `python -m tests.keras_page.measure FILE` keeps them for docs/keras.md.
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
from cnncli.spec.spec import parse
from cnncli.training.loop.session import Plan
from cnncli.training.runs import checkpoint
from tests.interop.random_graphs import LEFT_OUT, drawn
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
        metafunc.parametrize("seed", range(500 if metafunc.config.getoption("--long") else 20))


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
    for number in range(seed * 1000, seed * 1000 + 50):
        tree = drawn(number)
        data(folder, number, tree["model"]["input_shape"])
        try:
            spec = parse(json.dumps(tree), str(folder / "random.yaml"))
            return number, spec, translate(spec.model, spec.compile)
        except (SpecError, UsageError):
            continue
    raise AssertionError("no valid graph in 50")


def data(folder, seed, shape):
    """Write `data.npz`: 17 samples of three classes to train on, 7 to validate; return them as Keras takes them."""
    random = np.random.default_rng(seed)
    x, y = random.standard_normal((24, *shape)).astype(np.float32), random.permutation(24) % 3
    np.savez(folder / "data.npz", x_train=x[:17], y_train=y[:17], x_val=x[17:], y_val=y[17:])
    rows = np.eye(3, dtype=np.float32)[y]
    return {"x": x[:17], "y": rows[:17], "x_val": x[17:], "y_val": rows[17:]}


def metrics(compiled):
    return [
        {"class_name": type(metric).__name__, "config": {k: v for k, v in metric.plain().items() if v is not None}}
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
    given = data(tmp_path, number, spec.model.input_shape)
    fresh = Network(spec.model, spec.compile.loss, batch_size=5, threads=1)
    fresh.initialize(spec.seed)
    start = {name: array.copy() for name, array in fresh.tensors().items()}
    np.savez(tmp_path / "start.npz", **start, **given)
    answer = keras(tmp_path / "start.npz", {**network, "metrics": metrics(spec.compile), "batch_size": 5})
    assert "error" not in answer, (answer, spec.to_yaml())
    plan = Plan(spec.name, spec.seed, spec.data, tmp_path, spec.model, spec.compile, spec.fit, spec.to_yaml(), {})
    small.run(plan, tmp_path / "run", threads=1)
    (line,) = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    theirs = dict(np.load(tmp_path / "start.npz.out.npz"))
    ours = checkpoint.load(tmp_path / "run" / "last.safetensors").weights
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
        said = {
            "layer": [type(node.layer).__name__ for node in spec.model.nodes],
            "loss": [type(spec.compile.loss).__name__],
            "optimizer": [type(spec.compile.optimizer).__name__],
            "metric": [type(metric).__name__ for metric in spec.compile.metrics],
        }
        with Path(os.environ["CNNCLI_KERAS_RESULTS"]).open("a") as file:
            file.write(json.dumps({"words": said, "apart": apart}) + "\n")


def test_what_is_left_out_says_why():
    assert all(LEFT_OUT.values())
