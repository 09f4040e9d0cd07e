"""Elementary functions against extended precision, on dense samples and at the edges.

The truth is NumPy's long double where that has more bits than float64 (x86), which float64's accuracy is measured on;
float32's is measured against float64 anywhere.
"""

import math

import numpy as np
import pytest

from cnncli.kernels.jit.runtime import SPAN, block, elements, fields, run, worker
from cnncli.kernels.vector import vectormath
from cnncli.kernels.vector.sweeps import elementwise
from tests.kernels.support import DTYPES, assert_close, unwritten

ULPS = {
    "exp": 1.1,
    "log": 1.0,
    "log1p": 1.5,
    "tanh": 3.0,
    "sigmoid": 2.5,
    "decay_less_1": 1.3,
    "bell": 1.4,
    "normal": 14.2,
}
SLACK = {"normal": 4.0}  # its error is greatest without fused multiply-add
NAMES = list(ULPS)
BLOCK = block("x out")
_functions = elementwise(*(getattr(vectormath, name) for name in NAMES))


@worker(BLOCK)
def function_worker(real, number):
    def function(parameters, start, stop, thread):
        p = fields(parameters, BLOCK)
        _functions(number, (p.x,), (p.out,), start, stop, (), real)

    return function


def apply(name, x):
    out = unwritten(x.dtype.name, x.size)
    places = {"x": x.ctypes.data, "out": out.ctypes.data}
    run([function_worker.step(x.dtype.name, elements(x.size), NAMES.index(name), **places)])
    return out


def bell(x):
    """e^(−x²/2) in long double: x² in two parts, of which the first is exact."""
    x = np.clip(x, -60, 60)
    high = x.astype(np.float32).astype(np.longdouble)
    return np.exp(-(high**2) / 2) * np.exp(-(x - high) * (x + high) / 2)


def normal(x):
    """The normal distribution function in long double: its series below 2, the continued fraction of the rest above."""
    near, far = np.minimum(np.abs(x), 2), np.clip(np.abs(x), 2, 60)
    total = term = near
    for k in range(1, 60):
        term = term * near**2 / (2 * k + 1)  # e^(−x²/2) Σ x^(2k+1) / (1 · 3 · 5 …): no term is negative
        total = total + term
    below = far
    for k in range(150, 0, -1):
        below = far + k / below
    pi = np.longdouble(314159265358979323) / 10**17 + np.longdouble(8.46264338327950288e-18)
    density = bell(x) / np.sqrt(2 * pi)
    tail = np.where(np.abs(x) < 2, np.longdouble(0.5) - density * total, density / below)
    return np.where(x < 0, tail, 1 - tail)


def truth(name, x):
    with np.errstate(all="ignore"):
        x = x.astype(np.longdouble)
        if name in ("bell", "normal"):
            return {"bell": bell, "normal": normal}[name](x)
        if name == "decay_less_1":
            return np.expm1(-np.abs(x))
        return 1 / (1 + np.exp(-x)) if name == "sigmoid" else getattr(np, name)(x)


def samples(dtype):
    """Moderate numbers, every magnitude of both signs, all kinds of bits."""
    generator, size = np.random.default_rng(1), 100_000
    spread = np.exp(generator.uniform(-80, 80, size)) * generator.choice([-1, 1], size)
    reach = 120 if dtype == "float32" else 760
    usual = [generator.uniform(-3, 3, size), generator.uniform(-reach, reach, size), spread]
    raw = generator.integers(0, 256, (size, np.dtype(dtype).itemsize), np.uint8).view(dtype).ravel()
    return np.concatenate([np.concatenate(usual).astype(dtype), raw, edges(dtype)])


def edges(dtype):
    limits, one = np.finfo(dtype), np.ones(1, dtype)
    turning = np.log(np.array([limits.max, limits.tiny, limits.smallest_subnormal], np.longdouble)).astype(dtype)
    numbers = [0, 1, np.sqrt(0.5), np.sqrt(2), limits.tiny, limits.tiny / 4, limits.smallest_subnormal, limits.max]
    numbers = np.concatenate([np.array([*numbers, np.inf, np.nan], dtype), turning, np.nextafter(one, 0 * one)])
    numbers = np.concatenate([numbers, np.nextafter(turning, 2 * turning), np.nextafter(turning, 0 * turning)])
    return np.concatenate([numbers, -numbers])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_the_error_stays_below_what_the_docstring_says(name, dtype):
    assert f"within {ULPS[name]:g} ulp" in getattr(vectormath, name).__doc__
    x = samples(dtype)
    found, exact = apply(name, x), truth(name, x)
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
        ulps = np.abs(found - exact) / np.spacing(np.abs(rounded)).astype(np.longdouble)
    finite = np.isfinite(rounded)
    assert np.array_equal(found[~finite], rounded[~finite], equal_nan=True)
    assert ulps[finite].max() <= ULPS[name]
    assert ulps[finite].max() > ULPS[name] - SLACK.get(name, 0.6), "the samples miss the worst arguments"


def test_the_normal_distributions_truth_is_that_of_python():
    x = np.linspace(-9, 9, 2001)
    expected = [math.erfc(-value / math.sqrt(2)) / 2 for value in x]
    assert normal(x.astype(np.longdouble)).astype(float) == pytest.approx(expected, rel=2e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_at_the_ends_and_at_0(dtype):
    x = np.array([0, -0.0, np.inf, -np.inf, np.nan], dtype)
    expected = {
        "exp": [1, 1, np.inf, 0, np.nan],
        "log": [-np.inf, -np.inf, np.inf, np.nan, np.nan],
        "log1p": [0, 0, np.inf, np.nan, np.nan],
        "tanh": [0, -0.0, 1, -1, np.nan],
        "sigmoid": [0.5, 0.5, 1, 0, np.nan],
        "bell": [1, 1, 0, 0, np.nan],
        "normal": [0.5, 0.5, 1, 0, np.nan],
    }
    for name, values in expected.items():
        assert np.array_equal(apply(name, x), np.array(values, dtype), equal_nan=True), name
    assert np.signbit(apply("tanh", x)[:2]).tolist() == [False, True]
    assert apply("log1p", np.array([-1, -1.5], dtype)).tolist()[0] == -np.inf


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_an_element_does_not_depend_on_its_place_and_nothing_else_is_written(name, dtype):
    x = np.random.default_rng(2).uniform(0.1, 4, 2 * SPAN + 77).astype(dtype)
    whole = apply(name, x)
    assert_close(whole, truth(name, x).astype(dtype), 64)
    for start in range(9):
        for length in range(1, 40):
            part = apply(name, x[start : start + length].copy())
            assert part.tobytes() == whole[start : start + length].tobytes()
            assert_close(part, whole[start : start + length])
