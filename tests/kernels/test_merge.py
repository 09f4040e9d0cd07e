import numpy as np
import pytest

from cnncli.kernels.elementwise import merge
from cnncli.kernels.jit.runtime import SPAN, run
from tests.kernels.agreement import DTYPES, agree, draw, same_bits_on_1_and_2_threads, shapes, tensors


@pytest.mark.parametrize("dtype", DTYPES)
def test_add_sums_in_order_to_the_bit_into_a_new_array_or_over_any_input(dtype):
    for shape, generator in shapes(1, [1, 2, 4]):
        inputs = [draw(generator, shape, dtype) for _ in range(generator.integers(1, 6))]
        expected = inputs[0].copy()
        for x in inputs[1:]:
            expected = expected + x
        out = np.full(shape, 7, dtype)
        run(merge.add(tensors(*inputs), *tensors(out)))
        assert out.tobytes() == expected.tobytes()
        place = inputs[generator.integers(len(inputs))]
        run(merge.add(tensors(*inputs), *tensors(place)))
        assert place.tobytes() == expected.tobytes()


def test_an_array_may_be_added_to_itself():
    x = np.arange(5.0)
    run(merge.add(tensors(x, x, x), *tensors(x)))
    assert x.tolist() == [0, 3, 6, 9, 12]


def test_adding_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one input; received none"):
        merge.add([], *tensors(np.zeros(1)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_concatenate_joins_along_any_axis_and_slices_take_it_apart(dtype):
    for shape, generator in shapes(2, [1, 2, 3, 4]):
        axis = int(generator.integers(-len(shape), len(shape)))
        inputs = []
        for _ in range(generator.integers(1, 5)):
            length = list(shape)
            length[axis] = int(generator.integers(0, 6)) or shape[axis]
            inputs.append(draw(generator, length, dtype))
        expected = np.concatenate(inputs, axis)
        out = np.full_like(expected, 7)
        run(merge.concatenate(tensors(*inputs), *tensors(out), axis))
        assert np.array_equal(out, expected)
        start = 0
        for x in inputs:
            part = np.full_like(x, 7)
            run(merge.slice_axis(*tensors(out, part), axis, start))
            assert np.array_equal(part, x)
            start += x.shape[axis]


def test_slice_takes_the_middle_and_refuses_to_leave_the_array():
    x, out = np.arange(24.0).reshape(2, 4, 3), np.empty((2, 2, 3))
    run(merge.slice_axis(*tensors(x, out), 1, 1))
    assert np.array_equal(out, x[:, 1:3])
    for start in (-1, 3):
        with pytest.raises(ValueError, match=f"received start={start}"):
            merge.slice_axis(*tensors(x, out), 1, start)


def test_the_comparison_notices_a_wrong_order_or_axis():
    a, b, out = np.array([[1.0, 2]]), np.array([[3.0, 4]]), np.empty((1, 4))
    run(merge.concatenate(tensors(a, b), *tensors(out), 1))
    assert not np.array_equal(out, np.concatenate([b, a], 1))
    big, minus, small = np.array([1e17]), np.array([-1e17]), np.array([3.0])
    total = np.empty(1)
    run(merge.add(tensors(big, minus, small), *tensors(total)))
    assert total[0] == 3
    assert not agree(total, (big + small) - big)


def test_threads_do_not_change_a_bit():
    x = draw(np.random.default_rng(3), (SPAN, 3), "float32")
    y, total, joined, part = x[::-1].copy(), x.copy(), np.empty((SPAN, 6), "float32"), x.copy()
    assert same_bits_on_1_and_2_threads(lambda: merge.add(tensors(x, y, x), *tensors(total)), total)
    assert same_bits_on_1_and_2_threads(lambda: merge.concatenate(tensors(x, y), *tensors(joined), 1), joined)
    assert same_bits_on_1_and_2_threads(lambda: merge.slice_axis(*tensors(joined, part), 1, 3), part)
