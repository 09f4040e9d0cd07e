"""Every layer against figures made with real Keras (tests/fixtures/README.md says how)."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.layers import vocabulary
from cnncli.layers.layer import LAYERS
from tests.layers.harness import LayerHarness

FIXTURES = Path(__file__).parent.parent / "fixtures"
CASES = json.loads((FIXTURES / "layers.json").read_text())["cases"]
ARRAYS = np.load(FIXTURES / "layers.npz", allow_pickle=False)

vocabulary.layers()


def close(got, expected):
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs_penalties_and_gradients_are_those_of_keras(case, dtype):
    config = {name: value for name, value in case["config"].items() if name not in {"name", "dtype"}}
    inputs = [ARRAYS[key] for key in case["inputs"]]
    layer = LAYERS.parse({case["layer"]: config})
    one = LayerHarness(layer, [x.shape[1:] for x in inputs], batch=len(inputs[0]), dtype=dtype, training=True)
    for place, array in zip(one.inputs, inputs, strict=True):
        place[...] = array
    assert one.weights.keys() == case["weights"].keys()
    for name, key in case["weights"].items():
        one.weights[name][...] = ARRAYS[key]
    one.cotangent[...] = ARRAYS[case["cotangent"]]

    close(one.run(), ARRAYS[case["output"]])
    np.testing.assert_allclose(one.penalty(), case["penalty"], rtol=1e-5, atol=1e-7)
    expected = [ARRAYS[key] for key in (*case["grad_inputs"], *(case["grad_weights"][name] for name in one.trained))]
    for got, wanted in zip(one.gradients(), expected, strict=True):
        close(got, wanted)
