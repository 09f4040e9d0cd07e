"""Weights of batches with void targets: of any size, the same bits on any number of threads."""

import numpy as np
import pytest

from cnncli.kernels.batch import valid
from cnncli.kernels.jit.runtime import Program, Scratch, tensor
from tests.kernels.agreement import DTYPES
from tests.kernels.support import unwritten


def weighted(target, weight, threads):
    out, measured = unwritten(weight.dtype.name, len(weight)), Scratch()
    valid.of_valid(tensor(target), tensor(out), measured)
    memory = np.full(measured.used + 64, 255, np.uint8)
    out[:] = weight
    base = -(-memory.ctypes.data // 64) * 64
    Program(valid.of_valid(tensor(target), tensor(out), Scratch(base)), threads).run()
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (7, 4), (5, 3, 2, 1), (9, 6, 5, 3), (40, 64, 64, 21)])
def test_a_batch_weighs_as_if_it_had_its_valid_rows_only(dtype, shape):
    random = np.random.default_rng(len(shape))
    target = random.random(shape).astype(dtype) * (random.random(shape) < 0.4)
    target[0] = 1
    weight = random.random(shape[0]).astype(dtype)
    rows = target.reshape(-1, shape[-1])
    expected = weight.astype(np.float64) * (len(rows) / sum(any(row) for row in rows.tolist()))
    found = weighted(target, weight, 1)
    assert found.tobytes() == expected.astype(dtype).tobytes()
    for threads in (2, 3):
        assert weighted(target, weight, threads).tobytes() == found.tobytes()


def test_a_batch_without_valid_rows_weighs_nothing():
    assert weighted(np.zeros((3, 4, 5), np.float32), np.ones(3, np.float32), 2).tolist() == [0, 0, 0]
