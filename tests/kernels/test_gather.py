"""Rows gathered against NumPy's: the same bits for any dtypes, sizes, orders and numbers of threads."""

import numpy as np
import pytest

from cnncli.kernels.batch import gather
from cnncli.kernels.batch.gather import PORTION
from cnncli.kernels.jit.runtime import Program, run
from tests.kernels.agreement import DTYPES, same_bits_on_1_and_2_threads, tensors
from tests.kernels.support import MARGIN, unwritten

SIZES = [(1,), (3, 1, 1), (5, 7, 1), (17,), (28, 28, 1), (3, 33, 3)]


def drawn(generator, shape, source):
    """Images: any level of uint8; any sign and size of float32, zeros of both signs among them."""
    if source == "uint8":
        return generator.integers(0, 256, shape).astype(source)
    values = generator.normal(0, 1, shape) * 10.0 ** generator.integers(-40, 30, shape)
    return np.where(generator.random(shape) < 0.1, -0.0, values).astype(source)


def intact(out):
    """Whether nothing was written around an array of `unwritten`."""
    return np.isnan([out.base[:MARGIN], out.base[-MARGIN:]]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("source", ["uint8", "float32"])
@pytest.mark.parametrize("size", SIZES)
def test_rows_of_any_size_in_any_order_are_scaled_in_float32_to_the_bit(dtype, source, size):
    generator = np.random.default_rng(len(size))
    x = drawn(generator, (23, *size), source)
    for count in (1, 4, 23, 40):
        rows = generator.integers(0, len(x), count)
        for factor, divisor in ((1, 255), (1, 1), (-0.3, 1), (1 / 255, 3)):
            out = unwritten(dtype, count, *size)
            run(gather.scaled(*tensors(x, rows, out), factor, divisor))
            expected = x[rows].astype(np.float32) * np.float32(factor) / np.float32(divisor)
            assert out.tobytes() == expected.astype(dtype).tobytes()
            assert intact(out)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_channels_are_normalized_in_place_to_the_bit(dtype, size):
    generator = np.random.default_rng(len(size))
    period = size[-1] * (size[-2] if len(size) > 1 else 1)
    x = drawn(generator, (40, *size), "float32").astype(dtype)
    factors, means, deviations = generator.normal(0, 1, (3, period)).astype(np.float32)
    repeated = [np.resize(table, size) for table in (factors, means, deviations)]
    with np.errstate(all="ignore"):
        expected = (x.astype(np.float32) * repeated[0] - repeated[1]) / repeated[2]
    out = unwritten(dtype, *x.shape)
    out[:] = x
    run(gather.normalized(*tensors(out, factors, means, deviations)))
    assert out.tobytes() == expected.astype(dtype).tobytes()
    assert intact(out)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [1, 2, 10, 1000])
def test_a_class_number_becomes_a_row_with_a_single_one(dtype, classes):
    generator = np.random.default_rng(classes)
    numbers = generator.integers(0, classes, 31)
    for count in (1, 7, 300):
        rows = generator.integers(0, len(numbers), count)
        out = unwritten(dtype, count, classes)
        run(gather.one_hot(*tensors(numbers, rows, out)))
        assert np.array_equal(out, np.eye(classes, dtype=dtype)[numbers[rows]])
        assert intact(out)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [2, 5, 256])
def test_class_numbers_of_pixels_become_a_row_each(dtype, classes):
    generator = np.random.default_rng(classes)
    numbers = generator.integers(0, classes, (9, 5, 7)).astype(np.uint8)
    for count in (1, 9, 30):
        rows = generator.integers(0, len(numbers), count)
        out = unwritten(dtype, count, 5, 7, classes)
        run(gather.one_hot(*tensors(numbers, rows, out)))
        assert np.array_equal(out, np.eye(classes, dtype=dtype)[numbers[rows]])
        assert intact(out)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("numbers", "void"), [("uint8", 255), ("uint8", 1), ("int64", -1), ("int64", 2), ("int64", 300)]
)
def test_void_becomes_a_row_of_zeros(dtype, numbers, void):
    generator = np.random.default_rng(3)
    classes = generator.choice([0, 1, 2, void], (12, 5, 7) if numbers == "uint8" else 12).astype(numbers)
    rows, out = generator.integers(0, 12, 9), unwritten(dtype, 9, *classes.shape[1:], 3)
    run(gather.one_hot(*tensors(classes, rows, out), void))
    assert np.array_equal(out, (classes[rows][..., None] == np.arange(3)) & (classes[rows] != void)[..., None])
    assert intact(out)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_copy_has_the_same_bits(dtype):
    for shape in ((1, 3), (40, 28, 28, 1), (3, 1 << 17)):
        x, out = np.random.default_rng(0).normal(0, 1, shape).astype(dtype), unwritten(dtype, *shape)
        run(gather.copied(*tensors(x, out)))
        assert out.tobytes() == x.tobytes()
        assert intact(out)


def test_the_row_numbers_are_read_when_the_program_runs():
    x, rows, out = np.arange(12, dtype=np.uint8).reshape(6, 2), np.array([5, 0, 3]), np.zeros((3, 2), np.float32)
    program = Program(gather.scaled(*tensors(x, rows, out), 1, 1))
    program.run()
    assert out.tolist() == [[10, 11], [0, 1], [6, 7]]
    rows[:] = 1, 1, 4
    program.run()
    assert out.tolist() == [[2, 3], [2, 3], [8, 9]]


def test_rows_of_a_memory_mapped_file_are_read_from_it(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (9, 5, 5, 1)).astype(np.uint8)
    images.tofile(tmp_path / "images")
    mapped = np.memmap(tmp_path / "images", np.uint8, mode="r", shape=images.shape)
    rows, out = np.arange(9)[::-1].copy(), np.zeros(images.shape, np.float32)
    run(gather.scaled(*tensors(mapped, rows, out), 1, 1))
    assert np.array_equal(out, images[::-1])


def test_rows_of_other_numbers_are_refused():
    x, rows = np.zeros((2, 2), np.int16), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="uint8 or float32; received int16"):
        gather.scaled(*tensors(x, rows, np.zeros((2, 2))), 1, 1)


@pytest.mark.parametrize("size", [PORTION // 3, PORTION, PORTION + 5])
def test_threads_do_not_change_a_bit_and_a_row_may_be_longer_than_a_chunk(size):
    generator = np.random.default_rng(2)
    x, rows = generator.integers(0, 256, (4, size)).astype(np.uint8), np.array([3, 1, 0, 0, 2, 1, 3])
    out, classes, targets = np.zeros((7, size), np.float32), np.array([size - 1, 0, 7, 1]), np.zeros((7, size))
    assert same_bits_on_1_and_2_threads(lambda: gather.scaled(*tensors(x, rows, out), 1, 255), out)
    scaled = x[rows].astype(np.float32) / 255
    assert np.array_equal(out, scaled)
    tables = generator.random((3, size)).astype(np.float32)
    assert same_bits_on_1_and_2_threads(lambda: gather.normalized(*tensors(out, *tables)), out)
    assert same_bits_on_1_and_2_threads(lambda: gather.one_hot(*tensors(classes, rows, targets)), targets)
    assert np.array_equal(np.nonzero(targets), [np.arange(7), classes[rows]])
