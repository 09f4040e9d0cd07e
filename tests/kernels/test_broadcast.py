import numpy as np
import pytest

from cnncli.kernels.elementwise import arithmetic, broadcast
from cnncli.kernels.jit.runtime import SPAN, run
from tests.kernels.agreement import DTYPES, draw, same_bits_on_1_and_2_threads, shapes, tensors
from tests.kernels.support import unwritten

TWINS = {
    "add": np.add,
    "multiply": np.multiply,
    "subtract": np.subtract,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "first of maximum": lambda grad, a, b: np.where(a < b, 0, grad),
}
COUNTS = {name: 3 if " of " in name else 2 for name in TWINS}


def applied(name, inputs, out):
    run(broadcast.apply(name, tensors(*inputs), *tensors(out)))
    return out


def drawn(generator, shape, count, dtype):
    """`count` inputs, rounded, whose axes have length 1 at random; the first input of three is a whole one."""
    for number in range(count):
        kept = generator.random(len(shape)) < 0.5
        kept[0] = True  # the batch axis
        own = [n if keep or number < count - 2 else 1 for n, keep in zip(shape, kept, strict=True)]
        yield draw(generator, own, dtype).round(1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TWINS)
def test_a_formula_of_broadcast_arrays_is_numpys_to_the_bit(name, dtype):
    for shape, generator in shapes(1, [2, 3, 4, 5, 6]):
        inputs = list(drawn(generator, shape, COUNTS[name], dtype))
        expected = TWINS[name](*inputs).astype(dtype)
        out = applied(name, inputs, unwritten(dtype, *expected.shape))
        assert np.array_equal(out, expected), (shape, [x.shape for x in inputs])
        for x in inputs:
            if x.shape == out.shape:
                assert applied(name, inputs, x).tobytes() == out.tobytes()
                break


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_array_is_copied_along_its_axes_of_length_1(dtype):
    for shape, generator in shapes(2, [2, 3, 4, 5]):
        (x,) = drawn(generator, shape, 1, dtype)
        assert np.array_equal(applied("copy", [x], unwritten(dtype, *shape)), np.broadcast_to(x, shape))


@pytest.mark.parametrize(
    ("one", "other"),
    [((40, 21, 50), (1, 1, 50)), ((40, 21, 50), (40, 21, 1)), ((1, 21, 1), (40, 1, 50)), ((40, 21, 50), (1, 1, 1))],
)
def test_threads_do_not_change_a_bit(one, other):
    generator = np.random.default_rng(2)
    a, b = (draw(generator, (3, *shape), "float32") for shape in (one, other))
    out = np.empty(np.broadcast_shapes(a.shape, b.shape), "float32")
    assert out.size > 2 * SPAN
    assert same_bits_on_1_and_2_threads(lambda: broadcast.apply("multiply", *[tensors(a, b)], *tensors(out)), out)
    assert np.array_equal(out, a * b)


def test_a_nan_goes_where_it_belongs():
    x, gate = np.ones((2, 3, 4)), np.ones((2, 1, 4))
    x[0, 1, 2] = gate[1, 0, 3] = np.nan
    found = np.argwhere(np.isnan(applied("multiply", [x, gate], np.empty_like(x)))).tolist()
    assert found == [[0, 1, 2], [1, 0, 3], [1, 1, 3], [1, 2, 3]]


def test_arrays_of_one_shape_are_those_of_arithmetic():
    x = np.ones((2, 3))
    (step,), (plain,) = (apply("add", tensors(x, x), *tensors(x)) for apply in (broadcast.apply, arithmetic.apply))
    assert step.worker == plain.worker
