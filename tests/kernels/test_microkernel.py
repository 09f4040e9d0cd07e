"""Micro-kernels agree with NumPy for every number of rows and columns, and what prepares their factors does, too."""

import ctypes

import numpy as np
import pytest

from cnncli.kernels.gemm import microkernel
from cnncli.kernels.jit.target import machine
from tests.kernels.support import DTYPES, assert_close, normal, unwritten


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
