import numpy as np
import pytest

from cnncli.kernels import optimizers
from cnncli.kernels.runtime import SPAN, Program, run
from tests.kernels.agreement import DTYPES, agree, assert_agree, draw, same_bits_on_1_and_2_threads, shapes, tensors
from tests.reference import updates as twin

MODES = [("plain", False), ("momentum", False), ("momentum", True)]


def sgd(w, g, m, hyper, nesterov):
    run(sgd_steps(w, g, m, hyper, nesterov))


def sgd_steps(w, g, m, hyper, nesterov):
    return optimizers.sgd(*tensors(w, g), None if m is None else tensors(m)[0], *tensors(hyper), nesterov)


def adam(*arrays):
    run(optimizers.adam(*tensors(*arrays)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("mode", "nesterov"), MODES)
def test_sgd_agrees_with_its_twin(mode, nesterov, dtype):
    for shape, generator in shapes(1, [1]):
        w, g, m = (draw(generator, shape, dtype) for _ in range(3))
        m = None if mode == "plain" else m
        hyper = generator.uniform(0, 1, 2)
        expected = twin.sgd(*(x if x is None else x.astype(np.float64) for x in (w, g, m)), *hyper, nesterov)
        sgd(w, g, m, hyper, nesterov)
        assert_agree(w, expected[0], shape)
        assert m is None or agree(m, expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_agrees_with_its_twin(dtype):
    for shape, generator in shapes(2, [1]):
        w, g, m = (draw(generator, shape, dtype) for _ in range(3))
        v = np.abs(draw(generator, shape, dtype)) + np.array(0.01, dtype)
        hyper = np.array([generator.uniform(0, 0.1), 0.9, 0.999, 1e-7])
        expected = twin.adam(*(x.astype(np.float64) for x in (w, g, m, v)), *hyper)
        adam(w, g, m, v, hyper)
        for found, wanted in zip((w, m, v), expected, strict=True):
            assert_agree(found, wanted, shape)


def test_hand_computed_steps():
    w, g, m, hyper = np.array([1.0]), np.array([2.0]), np.array([0.5]), np.array([0.1, 0.9])
    sgd(w, g, m, hyper, False)  # m = 0.45 − 0.2
    assert (w[0], m[0]) == pytest.approx((1.25, 0.25))
    w[0], m[0] = 1.0, 0.5
    sgd(w, g, m, hyper, True)  # w += 0.9 · 0.25 − 0.2
    assert (w[0], m[0]) == pytest.approx((1.025, 0.25))
    w[0] = 1.0
    sgd(w, g, None, hyper, False)
    assert w[0] == pytest.approx(0.8)
    w, m, v = np.array([1.0]), np.zeros(1), np.zeros(1)
    # The first bias-corrected step is lr · sign(g): α = lr √0.001 / 0.1, m = 0.2, √v = 2 √0.001.
    hyper = np.array([0.01 * np.sqrt(0.001) / 0.1, 0.9, 0.999, 1e-7])
    adam(w, g, m, v, hyper)
    assert (w[0], m[0], v[0]) == pytest.approx((0.99, 0.2, 0.004), rel=1e-7)


def test_adam_leaves_weights_alone_where_gradients_were_always_0():
    w, zero, hyper = np.array([1.5, -2]), np.zeros(2), np.array([0.1, 0.9, 0.999, 1e-7])
    adam(w, zero, zero.copy(), zero.copy(), hyper)
    assert w.tolist() == [1.5, -2]


def test_one_plan_reads_the_learning_rate_anew():
    w, g, hyper = np.zeros(3), np.ones(3), np.array([0.5, 0])
    program = Program(sgd_steps(w, g, None, hyper, False))
    program.run()
    hyper[0] = 0.25
    program.run()
    assert w.tolist() == [-0.75] * 3


def test_the_comparison_notices_epsilon_inside_the_root_and_a_missing_momentum():
    generator = np.random.default_rng(3)
    w, g, m = generator.normal(size=(3, 50))
    v, hyper = np.full(50, 1e-10), np.array([0.1, 0.9, 0.999, 1e-4])
    new, start = w.copy(), (w, g, m, v.copy())
    adam(new, g, m.copy(), v, hyper)
    assert agree(new, twin.adam(*start, *hyper)[0])
    assert not agree(new, w - 0.1 * (0.9 * m + 0.1 * g) / np.sqrt(v + 1e-4))
    new = w.copy()
    sgd(new, g, m.copy(), hyper[:2].copy(), True)
    assert agree(new, twin.sgd(w, g, m, 0.1, 0.9, True)[0])
    assert not agree(new, twin.sgd(w, g, m, 0.1, 0.9, False)[0])


def test_threads_do_not_change_a_bit():
    generator = np.random.default_rng(4)
    w, g, m, v = (np.abs(draw(generator, 3 * SPAN + 5, "float32")) for _ in range(4))
    hyper = np.array([0.1, 0.9, 0.999, 1e-7])
    assert same_bits_on_1_and_2_threads(lambda: optimizers.adam(*tensors(w, g, m, v, hyper)), w, m, v)
    assert same_bits_on_1_and_2_threads(lambda: sgd_steps(w, g, m, hyper, True), w, m)
