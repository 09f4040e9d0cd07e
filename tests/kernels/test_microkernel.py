"""Micro-kernels agree with NumPy for every number of rows and columns, and what prepares their factors does, too."""

import ctypes
from functools import cache

import numpy as np
import pytest

from cnncli.kernels.gemm import bfloat16 as bfloat16_products
from cnncli.kernels.gemm import microkernel, tiles
from cnncli.kernels.gemm.product import product as emit_product
from cnncli.kernels.jit import object_files
from cnncli.kernels.jit.target import machine
from tests.kernels import bfloat16
from tests.kernels.support import DTYPES, MARGIN, assert_close, normal, unwritten
from tests.kernels.tile_emulation import Emulated


def call(address, *arguments):
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(arguments))
    kind(address)(*arguments)


def product(a, b, init, transposed=False, limits=None):
    """init + Σ a[n] · b[n]; a: (batch, rows, k), b: (batch, k, columns), init: None, (columns,) or (rows, columns).

    limits: the least and the greatest element, or None.
    """
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
        family.product if limits is None else family.limited,
        *(out.ctypes.data, columns * item, start, init_row, rows, columns),
        *(left.ctypes.data, a_row, a_step, rows * k * item),
        *(packed.ctypes.data, family.panel * item, k * family.panel * item, panels * k * family.panel * item),
        *(k, batch),
        *([] if limits is None else [limits.ctypes.data]),
    )
    return out


CPUS = ["znver4", "znver5"] if machine().width == 64 else [machine().cpu]
"""With half vectors and without; or only this machine's, where that makes no difference."""


@pytest.fixture(params=CPUS)
def emitted(request, monkeypatch):
    """Products are those emitted for a processor."""
    target = machine()._replace(cpu=request.param)

    @cache
    def family(dtype):
        return microkernel.loaded(microkernel.compile_family(target, dtype), target, dtype)

    monkeypatch.setattr(microkernel, "family", family)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.usefixtures("emitted")
def test_every_number_of_rows_and_columns_agrees_with_numpy(dtype):
    rng = np.random.default_rng(0)
    for columns in range(1, 2 * microkernel.family(dtype).panel + 2):
        for rows in range(1, 32):
            a, b = normal(rng, dtype, 2, rows, 3), normal(rng, dtype, 2, 3, columns)
            init = [None, normal(rng, dtype, columns), normal(rng, dtype, rows, columns)][(rows + columns) % 3]
            expected = (a.astype(np.float64) @ b.astype(np.float64)).sum(axis=0) + (0 if init is None else init)
            assert_close(product(a, b, init, transposed=rows % 2 == 0), expected, 8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.usefixtures("emitted")
def test_every_number_of_steps_and_batches_agrees_with_numpy(dtype):
    rng = np.random.default_rng(1)
    for batch in (1, 2, 5):
        for k in (1, 2, 3, 17, 32, 100):
            a, b = normal(rng, dtype, batch, 5, k), normal(rng, dtype, batch, k, 37)
            expected = (a.astype(np.float64) @ b.astype(np.float64)).sum(axis=0)
            assert_close(product(a, b, None), expected, batch * k)


@pytest.mark.parametrize("dtype", DTYPES)
def test_limited_elements_are_those_of_the_product_within_the_limits(dtype):
    rng, limits = np.random.default_rng(6), np.array([-0.5, 0.75], dtype)
    for columns in range(1, 2 * microkernel.family(dtype).panel + 2):
        for rows in (1, 2, 13, 14, 15):
            a, b, init = normal(rng, dtype, 1, rows, 2), normal(rng, dtype, 1, 2, columns), normal(rng, dtype, columns)
            init[0] = np.nan
            expected = np.clip(product(a, b, init), *limits)
            np.testing.assert_array_equal(product(a, b, init, limits=limits), expected)


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


@pytest.mark.parametrize("columns", [1, 2, 16, 30, 37])
def test_numbers_are_rounded_to_bfloat16_and_paired(columns):
    rng, family = np.random.default_rng(4), microkernel.family("bfloat16")
    x = normal(rng, "float32", 6, columns)
    expected = bfloat16.rounded(x)
    out = bfloat16.unwritten(3, columns)
    call(family.narrow, out.ctypes.data, 2 * columns, x.ctypes.data, 8 * columns, 3, columns)
    np.testing.assert_array_equal(out, expected[::2])
    stored = np.ascontiguousarray(expected)
    for address, source in ((family.pairs, x), (family.interleave, stored)):
        for partner in (source.strides[0], 0):
            out = bfloat16.unwritten(3, columns, 2)
            place = source.ctypes.data, 2 * source.strides[0], partner, 3, columns
            call(address, out.ctypes.data, 4 * columns, *place)
            np.testing.assert_array_equal(out[..., 0], expected[::2])
            np.testing.assert_array_equal(out[..., 1], expected[1::2] if partner else np.zeros_like(expected[1::2]))
            assert (np.r_[out.base[:MARGIN], out.base[-MARGIN:]] == bfloat16.SPOILT).all()


def product_of_pairs(emit):
    """A function of a: (batch, rows, k) and b: (batch, k, columns) of bfloat16 and init: (columns,) or None.

    It returns init + Σ a[n] · b[n] by the `product` that was emitted, which must be what NumPy finds. k is even.
    """
    address, panel = object_files.addresses(emit.compiled(), machine())("product"), 2 * emit.lanes

    def compute(a, b, init=None):
        (batch, rows, k), columns = a.shape, b.shape[2]
        out, panels = unwritten("float32", rows, columns), -(-columns // panel)
        packed = np.zeros((batch, k, panels * panel), np.uint16)
        packed[:, :, :columns] = b
        packed = np.ascontiguousarray(packed.reshape(batch, k // 2, 2, panels, panel).transpose(0, 3, 1, 4, 2))
        start = 0 if init is None else init.ctypes.data
        place = a.ctypes.data, 2 * k, 4, 2 * k * rows, packed.ctypes.data, *packed.strides[2::-1]
        call(address, out.ctypes.data, 4 * columns, start, 0, rows, columns, *place, k // 2, batch)
        expected = (bfloat16.widened(a) @ bfloat16.widened(b)).sum(axis=0) + (0 if init is None else init)
        assert_close(out, expected, batch * k)
        return out

    return compute


@pytest.mark.parametrize("way", [bfloat16_products.Dots, bfloat16_products.Widened])
def test_both_ways_multiply_pairs(way):
    if way is bfloat16_products.Dots and bfloat16_products.way() == "widened":
        pytest.skip("this processor has no AVX-512 BF16")
    emit, rng = way(machine()), np.random.default_rng(5)
    emit_product(emit)
    compute, panel = product_of_pairs(emit), 2 * emit.lanes
    for rows in range(1, 16):
        for columns in (1, emit.lanes, emit.lanes + 1, panel, panel + 3):
            a, b = bfloat16.normal(rng, 2, rows, 6), bfloat16.normal(rng, 2, 6, columns)
            compute(a, b, normal(rng, "float32", columns))


WIDE = machine()._replace(width=64)
"""This machine with vectors as wide as tiles are: LLVM divides those that no register holds."""


def product_on_tiles(instructions):
    """`product_of_pairs` on tiles of a class, `Tiles` or `Emulated`."""
    if instructions is tiles.Tiles and bfloat16_products.way() != "amx_bf16":
        pytest.skip("this processor has no AMX")
    emit = bfloat16_products.Widened(WIDE)
    tiles.product(emit, instructions(emit), emit_product(emit, "product_of_vectors"))
    return product_of_pairs(emit)


@pytest.mark.parametrize("instructions", [Emulated, tiles.Tiles])
def test_products_on_tiles(instructions):
    compute, rng = product_on_tiles(instructions), np.random.default_rng(6)
    for rows in (1, 16, 17, 49, 64):
        for columns in (3, 21, 32, 85):
            for k in (6, 32, 70):
                a, b = bfloat16.normal(rng, 2, rows, k), bfloat16.normal(rng, 2, k, columns)
                out = compute(a, b, normal(rng, "float32", columns) if rows % 2 else None)
                if rows == 64:  # how rows are divided does not change bits
                    np.testing.assert_array_equal(out[20:], compute(np.ascontiguousarray(a[:, 20:]), b))


@pytest.mark.parametrize("instructions", [Emulated, tiles.Tiles])
def test_sums_on_tiles_have_the_documented_bits(instructions):
    rng = np.random.default_rng(7)
    a, b, init = bfloat16.normal(rng, 2, 33, 64), bfloat16.normal(rng, 2, 64, 48), normal(rng, "float32", 48)
    a[0, :9, :7], b[1, 3:60, 5:40], init[::5] = 1, 0x807F, np.float32(1e-39)  # denormal
    a[:, 20:] = bfloat16.rounded(2.0**-58 * rng.standard_normal((2, 13, 64)))
    b[:, :, :5], init[:5] = bfloat16.rounded(2.0**-70 * rng.standard_normal((2, 64, 5))), 0  # denormal sums
    x, y = (flushed(bfloat16.widened(z).astype(np.float32)).astype(np.float64) for z in (a, b))
    sums = np.broadcast_to(init, (33, 48))
    for n, start in np.ndindex(2, 2):
        halves = np.zeros((2, 33, 48), np.float32)
        for pair, half in np.ndindex(16, 2):
            k = 32 * start + 2 * pair + half
            halves[half] = flushed((halves[half] + np.outer(x[n, :, k], y[n, k])).astype(np.float32))
        sums = flushed(flushed(sums) + flushed(halves[0] + halves[1]))
    assert 0 < np.count_nonzero(sums[20:, :5] == 0) < 13 * 5
    np.testing.assert_array_equal(product_on_tiles(instructions)(a, b, init), sums)


def flushed(x):
    """float32, with zeros instead of denormal numbers."""
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.float32(0), x)
