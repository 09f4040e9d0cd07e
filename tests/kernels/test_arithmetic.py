import numpy as np
import pytest

from cnncli.kernels.elementwise import arithmetic
from cnncli.kernels.jit.runtime import SPAN, run
from tests.kernels.agreement import DTYPES, agree, assert_agree, draw, same_bits_on_1_and_2_threads, shapes, tensors
from tests.reference import reduction

SCALE, OFFSET = -1.7, 0.4
TWINS = {
    "affine": lambda x: SCALE * x + OFFSET,
    "quotient": lambda x: x / SCALE + OFFSET,
    "copy": lambda x: x,
    "rsqrt": lambda x: reduction.rsqrt(x, OFFSET),
    "gradient of rsqrt": reduction.rsqrt_gradient,
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * b,
    "subtract": lambda a, b: a - b,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "first of maximum": lambda grad, a, b: np.where(a < b, 0, grad),
    "second of maximum": lambda grad, a, b: np.where(a < b, grad, 0),
    "first of minimum": lambda grad, a, b: np.where(a > b, 0, grad),
    "second of minimum": lambda grad, a, b: np.where(a > b, grad, 0),
}
COUNTS = {name: twin.nin if isinstance(twin, np.ufunc) else twin.__code__.co_argcount for name, twin in TWINS.items()}


def given(name, generator, shape, dtype):
    """Inputs of a formula, rounded: some are equal. Those of roots are positive."""
    drawn = [draw(generator, shape, dtype).round(1) for _ in range(COUNTS[name])]
    return [np.abs(x) + x.dtype.type(0.1) for x in drawn] if "rsqrt" in name else drawn


def apply(name, inputs, out):
    run(arithmetic.apply(name, tensors(*inputs), *tensors(out), SCALE, OFFSET))
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", arithmetic.FORMULAS)
def test_a_formula_is_its_twin_into_a_new_array_or_over_any_input(name, dtype):
    for shape, generator in shapes(1, [1, 2, 4]):
        inputs = given(name, generator, shape, dtype)
        out = apply(name, inputs, np.full(shape, 7, dtype))
        assert_agree(out, TWINS[name](*(x.astype(np.float64) for x in inputs)), shape)
        over = inputs[generator.integers(len(inputs))]
        assert apply(name, inputs, over).tobytes() == out.tobytes()


@pytest.mark.parametrize("name", arithmetic.FORMULAS)
def test_nan_passes(name):
    for position in range(COUNTS[name]):
        inputs = [np.array([-0.1, 2.0, 0.0]) for _ in range(COUNTS[name])]
        inputs[position][1] = np.nan
        found = np.isnan(apply(name, inputs, np.empty(3)))
        assert not found[[0, 2]].any()
        if " of " not in name:
            assert found[1]


def test_the_comparison_notices_another_formula():
    generator = np.random.default_rng(2)
    inputs = [np.abs(x) + 0.1 for x in (draw(generator, 50, "float64").round(1) for _ in range(3))]
    for name, count in COUNTS.items():
        expected = TWINS[name](*inputs[:count])
        others = [other for other, its in COUNTS.items() if its == count and other != name]
        assert not any(agree(apply(other, inputs[:count], np.empty(50)), expected) for other in others)


@pytest.mark.parametrize("name", arithmetic.FORMULAS)
def test_threads_do_not_change_a_bit(name):
    generator = np.random.default_rng(3)
    inputs = given(name, generator, 3 * SPAN + 5, "float32")
    out = np.empty_like(inputs[0])
    plan = tensors(*inputs), *tensors(out)
    assert same_bits_on_1_and_2_threads(lambda: arithmetic.apply(name, *plan, SCALE, OFFSET), out)
