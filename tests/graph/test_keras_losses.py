"""Every loss against figures made with real Keras: from predictions, and fused with softmax or sigmoid."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.graph.fusion import TRAINING, fuse
from cnncli.graph.program import Program, aligned
from cnncli.layers.losses import LOSSES
from cnncli.ops.builder import Builder
from cnncli.ops.differentiate import differentiate
from cnncli.ops.ir import Tape, Value

CASES = json.loads((Path(__file__).parent.parent / "fixtures" / "losses.json").read_text())["cases"]
OWN = {"softmax": "categorical", "sigmoid": "binary"}
"""The activations that the cross-entropies are of, and the word in their names."""


def loss_and_gradient(case, *, fused, dtype="float32"):
    """Of logits and fused as training has it, or of the probabilities that were made of them."""
    x = np.array(case["input"], dtype)
    y = np.array(case["y_true"])
    if case["loss"].startswith(("sparse", "CategoricalGeneralized")):
        y = np.eye(x.shape[-1])[y.astype(int).reshape(x.shape[:-1])]
    weight = np.ones(len(x)) if case["sample_weight"] is None else np.array(case["sample_weight"])
    builder = Builder()
    values = [Value(shape, dtype=dtype) for shape in (x.shape[1:], x.shape[1:], ())]
    prediction = builder.activation(values[0], case["activation"] or "linear")
    if case["axis"] != -1:
        prediction = builder.softmax(values[0], case["axis"] - 1)
    declared = LOSSES.parse({case["loss"]: case["config"]})
    if fused:
        loss, _ = declared.lower(builder, prediction, *values[1:])
    else:
        loss = builder.emit(declared.operation(), prediction, *values[1:])
    tape = Tape(fuse(builder.calls, TRAINING) if fused else list(builder.calls))
    gradient = differentiate(tape, values[:1])[values[0]]
    placed = dict(zip(values, (x, y.reshape(x.shape).astype(dtype), weight.astype(dtype)), strict=True))
    program = Program(tape.calls, placed, [loss, gradient], capacity=len(x), threads=2)
    program.attach(aligned(program.size))
    program.run(len(x))
    return float(program.read(loss).astype(np.float64).mean()), program.read(gradient)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_losses_and_gradients_are_those_of_keras(case):
    value, gradient = loss_and_gradient(case, fused=True)
    expected = np.array(case["gradient"], np.float64)
    np.testing.assert_allclose(value, case["value"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in CASES
        if OWN.get(case["activation"], "none") in case["loss"] and case["axis"] == -1
        if not any(unlike in case["name"] for unlike in ("extreme", "sigmoid_logits"))
    ],
    ids=lambda case: case["name"],
)
def test_the_fused_loss_is_its_unfused_composition(case):
    fused, plain = (loss_and_gradient(case, fused=fused, dtype="float64") for fused in (True, False))
    np.testing.assert_allclose(fused[0], plain[0], rtol=1e-9)
    np.testing.assert_allclose(fused[1], plain[1], rtol=1e-6, atol=1e-9)
