"""Every layer against figures made with real Keras (tests/fixtures/README.md says how)."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.layers import vocabulary
from cnncli.layers.layer import LAYERS
from tests.layers.harness import LayerHarness

FIXTURES = Path(__file__).parent.parent / "fixtures"
FAMILIES = {
    file.stem: (json.loads(file.read_text())["cases"], np.load(file.with_suffix(".npz"), allow_pickle=False))
    for file in sorted(FIXTURES.glob("layers*.json"))
}
CASES = [pytest.param(case, arrays, id=case["name"]) for cases, arrays in FAMILIES.values() for case in cases]

vocabulary.layers()


def close(got, expected):
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize(("case", "arrays"), CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs_penalties_and_gradients_are_those_of_keras(case, arrays, dtype):
    config = {name: value for name, value in case["config"].items() if name not in {"name", "dtype"}}
    inputs = [arrays[key] for key in case["inputs"]]
    layer = LAYERS.parse({case["layer"]: config})
    one = LayerHarness(
        layer, [x.shape[1:] for x in inputs], batch=len(inputs[0]), dtype=dtype, training=case.get("training", True)
    )
    for place, array in zip(one.inputs, inputs, strict=True):
        place[...] = array
    assert one.weights.keys() == case["weights"].keys()
    for name, key in case["weights"].items():
        one.weights[name][...] = arrays[key]
    one.cotangent[...] = arrays[case["cotangent"]]

    close(one.run(), arrays[case["output"]])
    np.testing.assert_allclose(one.penalty(), case["penalty"], rtol=1e-5, atol=1e-7)
    training = case.get("training", True)  # outside of it nobody asks for the gradients of weights
    keys = [*case["grad_inputs"], *(case["grad_weights"][name] for name in one.trained if training)]
    for got, key in zip(one.gradients()[: len(keys)], keys, strict=True):
        close(got, arrays[key])
    for name, array in one.updated.items():
        close(array, arrays[case["updated"][name]])
