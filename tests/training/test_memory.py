"""A training that does not fit is refused before it begins, with a batch size that would."""

import pytest

from cnncli.errors import CnncliError
from cnncli.graph.objective import training_memory
from cnncli.spec.spec import parse
from cnncli.training.resources import memory_check

SPEC = """
data: {dataset: mnist5k}
model: {input_shape: [28, 28, 1], layers: [Flatten, Dense: {units: 100, activation: relu}, Dense: {units: 10}]}
compile: {optimizer: adam, loss: categorical_crossentropy}
"""


def test_what_does_not_fit_is_refused_with_a_batch_size_that_fits():
    spec = parse(SPEC, "f.yaml", check_data=False)
    half = training_memory(spec.model, spec.compile.loss, 512, 2)
    memory_check.check_memory(spec.model, spec.compile, 512, half)
    with pytest.raises(CnncliError) as caught:
        memory_check.check_memory(spec.model, spec.compile, 1024, half)
    # 785 × 100 + 101 × 10 weights with their gradients and Adam's two slots take 1.3 MB of it; images 3 kB each.
    assert str(caught.value).endswith("MB: fit.batch_size=256 would fit")
    assert caught.value.exit_code == 1


def test_a_model_that_never_fits_says_so():
    spec = parse(SPEC, "f.yaml", check_data=False)
    with pytest.raises(
        CnncliError, match=r"batches of 32 takes 1\.\d MB of memory, .* 1\.0 MB: the model is too large"
    ):
        memory_check.check_memory(spec.model, spec.compile, 32, 1_000_000)
