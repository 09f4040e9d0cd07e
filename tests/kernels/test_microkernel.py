"""Micro-kernels agree with NumPy for every number of rows and columns, and their bits do not depend on the machine."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnncli.kernels import microkernel
from cnncli.kernels.target import machine
from tests.kernels.support import DTYPES, assert_close, normal, unwritten

AVX2 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse2,+avx,+avx2,+fma,+bmi,+bmi2"}

DIGEST = """
import hashlib
from tests.kernels import test_conv2d, test_dense
bits = hashlib.sha256()
for seed in range(40):
    for dtype in ("float32", "float64"):
        case = test_conv2d.random_case(seed, dtype)
        for operation in test_conv2d.OPERATIONS:
            bits.update(operation(case).tobytes())
case = test_conv2d.large_case(11)
for operation in test_conv2d.OPERATIONS:
    bits.update(operation(case).tobytes())
x, kernel, grad = (test_dense.normal(test_dense.np.random.default_rng(0), "float32", *shape)
    for shape in ((70, 150), (150, 90), (70, 90)))
for out in (test_dense.forward(x, kernel, None), test_dense.grad_input(grad, kernel), test_dense.grad_weight(x, grad)):
    bits.update(out.tobytes())
print(bits.hexdigest())
"""


def call(address, *arguments):
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(arguments))
    kind(address)(*arguments)


def product(a, b, init, transposed=False):
    """init + Σ a[n] · b[n]; a: (batch, rows, k), b: (batch, k, columns), init: None, (columns,) or (rows, columns)."""
    dtype, item = a.dtype.name, a.itemsize
    family, (batch, rows, k), columns = microkernel.family(dtype), a.shape, b.shape[2]
    panels = -(-columns // family.panel)
    packed = np.zeros((batch, panels * family.panel, k), dtype)
    packed[:, :columns] = b.transpose(0, 2, 1)
    packed = np.ascontiguousarray(packed.reshape(batch, panels, family.panel, k).transpose(0, 1, 3, 2))
    left = np.ascontiguousarray(a.transpose(0, 2, 1)) if transposed else a
    a_row, a_step = (item, rows * item) if transposed else (k * item, item)
    out = unwritten(dtype, rows, columns)
    init_row = 0 if init is None or init.ndim == 1 else columns * item
    start = 0 if init is None else init.ctypes.data
    call(
        family.product,
        *(out.ctypes.data, columns * item, start, init_row, rows, columns),
        *(left.ctypes.data, a_row, a_step, rows * k * item),
        *(packed.ctypes.data, family.panel * item, k * family.panel * item, panels * k * family.panel * item),
        *(k, batch),
    )
    return out


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_number_of_rows_and_columns_agrees_with_numpy(dtype):
    rng = np.random.default_rng(0)
    for columns in range(1, 2 * microkernel.family(dtype).panel + 2):
        for rows in range(1, 32):
            a, b = normal(rng, dtype, 2, rows, 3), normal(rng, dtype, 2, 3, columns)
            init = [None, normal(rng, dtype, columns), normal(rng, dtype, rows, columns)][(rows + columns) % 3]
            expected = (a.astype(np.float64) @ b.astype(np.float64)).sum(axis=0) + (0 if init is None else init)
            assert_close(product(a, b, init, transposed=rows % 2 == 0), expected, 8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_number_of_steps_and_batches_agrees_with_numpy(dtype):
    rng = np.random.default_rng(1)
    for batch in (1, 2, 5):
        for k in (1, 2, 3, 17, 100):
            a, b = normal(rng, dtype, batch, 5, k), normal(rng, dtype, batch, k, 37)
            expected = (a.astype(np.float64) @ b.astype(np.float64)).sum(axis=0)
            assert_close(product(a, b, None), expected, batch * k)


def test_a_sum_is_one_chain_in_the_order_of_batch_and_step():
    # 2³⁰ swallows what came before and the 1 after it; a product rounded before it is added loses 2⁻²⁴.
    a = np.array([[[1, 2.0**30]], [[1, -(2.0**30)]], [[1, 1 + 2.0**-12]]], np.float32)
    b = np.array([[[1], [1]], [[1], [1]], [[-1], [1 + 2.0**-12]]], np.float32)
    expected = 2.0**-11 + (2.0**-24 if machine().fused else 0)
    assert product(a, b, np.array([5], np.float32))[0, 0] == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_shape_is_transposed(dtype):
    rng, family = np.random.default_rng(2), microkernel.family(dtype)
    for rows in range(1, 2 * family.lanes + 3):
        for columns in range(1, 2 * family.lanes + 3):
            x, out = normal(rng, dtype, columns, rows), unwritten(dtype, rows, columns)
            item = x.itemsize
            call(family.transpose, out.ctypes.data, columns * item, x.ctypes.data, rows * item, rows, columns)
            assert_close(out, x.T)
            np.testing.assert_array_equal(out, x.T)


@pytest.mark.parametrize(("first", "left"), [(-1, -2), (0, 0), (2, 3), (-9, 0), (0, 9), (0, -9), (9, 0)])
def test_a_part_of_an_image_has_zeros_around_it(first, left):
    x = normal(np.random.default_rng(3), "float32", 4, 5, 6)
    family, rows, columns = microkernel.family("float32"), 6, 7
    padded = np.pad(x, ((20, 20), (20, 20), (0, 0)))[20 + first :, 20 + left :][:rows, :columns]
    for channels, start in ((6, 0), (2, 3)):
        out = unwritten("float32", rows, columns, channels)
        place = first, rows, left, columns
        call(family.border, out.ctypes.data, x.ctypes.data + 4 * start, 4, 5, 6 * 4, channels * 4, *place)
        assert_close(out, padded[:, :, start : start + channels])


def narrower():
    """Environments for the narrower vectors this machine has too; none where it is not an x86."""
    features = machine().features.split(",")
    return {name: AVX2 for name in ("AVX2",) if {"+avx2", "+fma"} <= set(features)}


def run(code, environment):
    root = Path(__file__).parents[2]
    process = subprocess.run(
        [sys.executable, *code],
        env={**os.environ, **environment, "PYTHONPATH": str(root)},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout.strip()


def test_the_bits_are_the_same_with_narrower_vectors():
    expected = run(["-c", DIGEST], {})
    for environment in narrower().values():
        assert run(["-c", DIGEST], environment) == expected


def test_random_shapes_are_right_with_narrower_vectors():
    files = [f"tests/kernels/test_{name}.py" for name in ("conv2d", "dense", "microkernel")]
    for environment in narrower().values():
        run(["-m", "pytest", "-q", *files, "-k", "agree_with or agrees_with"], environment)
