"""A training that does not fit is refused before it begins, with a batch size that would."""

import os

import pytest

from cnncli.errors import CnncliError
from cnncli.graph.objective import training_memory
from cnncli.spec.spec import parse
from cnncli.training import memory
from tests.training.test_threads import groups

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
SPEC = """
data: {dataset: mnist5k}
model: {input_shape: [28, 28, 1], layers: [Flatten, Dense: {units: 100, activation: relu}, Dense: {units: 10}]}
compile: {optimizer: adam, loss: categorical_crossentropy}
"""


def test_without_a_limit_it_is_the_memory_of_the_machine(tmp_path):
    assert memory.limit(tmp_path) == MACHINE
    assert memory.limit(groups(tmp_path, ["0::/a"], **{"a/memory.max": "max\n"})) == MACHINE


def test_the_least_limit_of_the_group_and_those_around_it_counts(tmp_path):
    files = {"a/b/memory.max": "2000\n", "a/memory.max": "1000\n"}
    assert memory.limit(groups(tmp_path, ["0::/a/b"], **files)) == 1000


def test_the_first_version_of_control_groups_is_read_too(tmp_path):
    assert memory.limit(groups(tmp_path, ["4:memory:/box"], **{"memory/box/memory.limit_in_bytes": "3000\n"})) == 3000


def test_what_does_not_fit_is_refused_with_a_batch_size_that_fits():
    spec = parse(SPEC, "f.yaml", check_data=False)
    half = training_memory(spec.model, spec.compile.loss, 512, 2)
    memory.check_memory(spec.model, spec.compile, 512, half)
    with pytest.raises(CnncliError) as caught:
        memory.check_memory(spec.model, spec.compile, 1024, half)
    # 785 × 100 + 101 × 10 weights with their gradients and Adam's two slots take 1.3 MB of it; images 3 kB each.
    assert str(caught.value).endswith("MB: fit.batch_size=256 would fit")
    assert caught.value.exit_code == 1


def test_a_model_that_never_fits_says_so():
    spec = parse(SPEC, "f.yaml", check_data=False)
    with pytest.raises(
        CnncliError, match=r"batches of 32 takes 1\.\d MB of memory, .* 1\.0 MB: the model is too large"
    ):
        memory.check_memory(spec.model, spec.compile, 32, 1_000_000)
