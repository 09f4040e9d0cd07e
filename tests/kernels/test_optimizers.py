import numpy as np
import pytest

from cnncli.kernels.jit.runtime import SPAN, Program, run, tensor
from cnncli.kernels.optimizers import clipping, update_rules
from cnncli.kernels.optimizers.update_rules import RULES, Segments
from tests.kernels.agreement import DTYPES, agree, assert_agree, draw, same_bits_on_1_and_2_threads
from tests.reference import updates as twin

OFF = (0.0, np.inf)
"""No weight decay, no bound."""
SIZES = ((1,), (15,), (16,), (17,), (40, 1, 7), (SPAN + 3, 5), (5, 2 * SPAN + 9, 100), (3 * SPAN,))


class Flat:
    """Arrays of tensors of these sizes, each beginning at a multiple of 16 elements; -7 in the gaps."""

    def __init__(self, sizes, dtype, seed=0):
        self.generator, self.dtype, ends, offset = np.random.default_rng(seed), dtype, [], 0
        for size in sizes:
            ends.append((offset, offset + size))
            offset += -(-size // 16) * 16
        self.size, self.places = offset, np.array(ends, np.int64)
        self.rows = np.zeros(len(sizes), np.int64)
        self.factors, self.ratios = np.ones(len(sizes)), np.full(len(sizes), np.nan)
        self.squares = np.full((2, len(sizes), clipping.PARTS), np.nan)
        self.inside = np.zeros(offset, bool)
        for first, end in ends:
            self.inside[first:end] = True

    @property
    def segments(self):
        return Segments(*map(tensor, (self.places, self.rows, self.factors, self.ratios, self.squares)))

    def draw(self, scale=2.0):
        return np.where(self.inside, draw(self.generator, self.size, self.dtype, scale), -7).astype(self.dtype)

    def positive(self):
        return np.where(self.inside, np.abs(self.draw()) + 1, -7).astype(self.dtype)

    def split(self, array):
        return [array[first:end].astype(np.float64) for first, end in self.places]


def update(rule, flat, w, g, state, hyper):
    hyper = np.atleast_2d(hyper)
    flat.kept = state, hyper  # the steps know no more than their addresses
    return update_rules.update(rule, tensor(w), tensor(g), [tensor(s) for s in state], tensor(hyper), flat.segments)


def amsgrad_twin(w, g, m, v, highest, alpha, epsilon, rest_1, rest_2):
    return twin.amsgrad(w, g, m, v, highest, alpha, 1 - rest_1, 1 - rest_2, epsilon)


def adamax_twin(w, g, m, u, alpha, epsilon, rest_1, beta_2):
    return twin.adamax(w, g, m, u, alpha, 1 - rest_1, beta_2, epsilon)


def lamb_twin(w, g, m, v, _, of_m, of_v, epsilon, rest_1, rest_2):
    return w, *twin.lamb_direction(g, m, v, of_m, of_v, 1 - rest_1, 1 - rest_2, epsilon)


def ftrl_twin(w, g, s, z, rate, power, l1, twice_l2, twice_shrinkage, beta):
    return twin.ftrl(w, g, s, z, rate, power, l1, twice_l2 / 2, twice_shrinkage / 2, beta)


def adam_twin(w, g, m, v, alpha, epsilon, rest_1, rest_2):
    return twin.adam(w, g, m, v, alpha, 1 - rest_1, 1 - rest_2, epsilon)


def nadam_twin(w, g, m, v, of_m, of_g, of_v, epsilon, rest_1, rest_2):
    return twin.nadam(w, g, m, v, of_m, of_g, of_v, 1 - rest_1, 1 - rest_2, epsilon)


def rmsprop_twin(centered, momentum):
    def rule(w, g, v, *rest):
        mean = rest[0] if centered else None
        m = rest[centered] if momentum else None
        rate, epsilon, rho, _, mu = rest[centered + momentum :]
        return [x for x in twin.rmsprop(w, g, v, mean, m, rate, rho, mu, epsilon) if x is not None]

    return rule


RMSPROP = (0.1, 1e-2, 0.9, 0.1, 0.8)
TWINS = {
    "sgd": (lambda w, g, rate: (twin.sgd(w, g, None, rate, 0, False)[0],), (0.3,)),
    "momentum": (lambda w, g, m, rate, mu: twin.sgd(w, g, m, rate, mu, False), (0.3, 0.9)),
    "nesterov": (lambda w, g, m, rate, mu: twin.sgd(w, g, m, rate, mu, True), (0.3, 0.9)),
    "adam": (adam_twin, (0.1, 1e-7, 0.1, 0.001)),
    "nadam": (nadam_twin, (0.1, 0.2, 1.5, 1e-7, 0.1, 0.001)),
    "rmsprop": (rmsprop_twin(False, False), RMSPROP),
    "rmsprop_momentum": (rmsprop_twin(False, True), RMSPROP),
    "rmsprop_centered": (rmsprop_twin(True, False), RMSPROP),
    "rmsprop_centered_momentum": (rmsprop_twin(True, True), RMSPROP),
    "adagrad": (twin.adagrad, (0.1, 1e-2)),
    "amsgrad": (amsgrad_twin, (0.1, 1e-7, 0.1, 0.001)),
    "adamax": (adamax_twin, (0.1, 1e-7, 0.1, 0.999)),
    "lamb": (lamb_twin, (1.5, 2.5, 1e-7, 0.1, 0.001)),
    "adadelta": (lambda w, g, s, d, rate, e, rho, rest: twin.adadelta(w, g, s, d, rate, rho, e), (0.1, 1e-2, 0.9, 0.1)),
    "lion": (lambda w, g, m, rate, b1, _, b2, __: twin.lion(w, g, m, rate, b1, b2), (0.1, 0.9, 0.1, 0.99, 0.01)),
    "ftrl": (ftrl_twin, (0.1, 0.7, 0.3, 0.2, 0.1, 0.4)),
    "average": (lambda w, g, a, mu, _, overwrite: twin.average(w, a, mu, overwrite), (0.9, 0.1, 1.0)),
}
POSITIVE = {"nadam": (1,), "adam": (1,), "amsgrad": (1, 2), "lamb": (1,), "adamax": (1,), "adadelta": (0, 1)}
"""Slots that are never negative, by rule; by default the first one."""


def state_of(rule, flat):
    """Slots that may be: squares, and sums of squares, are not negative."""
    positive, scales = POSITIVE.get(rule, (0,)), (2.0, 0.1, 2.0)
    drawn = (flat.positive() if i in positive else flat.draw(scales[i]) for i in range(RULES[rule].slots))
    return list(drawn)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", RULES)
def test_an_update_agrees_with_its_twin_and_leaves_gaps_alone(rule, dtype):
    assert rule in TWINS, f"the update rule {rule} has no twin: write one in tests/kernels/test_optimizers.py"
    formula, numbers = TWINS[rule]
    for sizes in SIZES[:6] if dtype == "float32" else SIZES[2:6]:
        flat = Flat(sizes, dtype)
        w, g, state = flat.draw(), flat.draw(), state_of(rule, flat)
        flat.factors[:] = flat.generator.uniform(0.1, 1, len(sizes))
        factor = np.repeat(flat.factors, np.diff(flat.places[:, 0], append=flat.size))
        moved, clipped = twin.prepared(w.astype(np.float64), g.astype(np.float64), factor, 1.5, 0.03)
        with np.errstate(invalid="ignore"):  # the gaps
            expected = formula(moved, clipped, *(x.astype(np.float64) for x in state), *numbers)
        run(update(rule, flat, w, g, state, np.array([0.03, 1.5, *numbers])))
        for found, wanted in zip((w, *state), expected, strict=True):
            assert_agree(found[flat.inside], wanted[flat.inside], sizes)
            assert (found[~flat.inside] == -7).all()


def single(rule, w, g, state, numbers, common=OFF):
    """One update of one-element arrays."""
    flat = Flat((1,), "float64")
    run(update(rule, flat, w, g, state, np.array([*common, *numbers])))


def test_hand_computed_steps():
    w, g, m = np.array([1.0]), np.array([2.0]), np.array([0.5])
    single("momentum", w, g, [m], (0.1, 0.9))  # m = 0.45 − 0.2
    assert (w[0], m[0]) == pytest.approx((1.25, 0.25))
    w[0], m[0] = 1.0, 0.5
    single("nesterov", w, g, [m], (0.1, 0.9))  # w += 0.9 · 0.25 − 0.2
    assert (w[0], m[0]) == pytest.approx((1.025, 0.25))
    w[0] = 1.0
    single("sgd", w, g, [], (0.1,))
    assert w[0] == pytest.approx(0.8)
    w, m, v = np.array([1.0]), np.zeros(1), np.zeros(1)
    # The first bias-corrected step is lr · sign(g): α = lr √0.001 / 0.1, m = 0.2, √v = 2 √0.001.
    single("adam", w, g, [m, v], (0.01 * np.sqrt(0.001) / 0.1, 1e-7, 0.1, 0.001))
    assert (w[0], m[0], v[0]) == pytest.approx((0.99, 0.2, 0.004), rel=1e-7)
    w, s = np.array([1.0]), np.array([5.0])
    single("adagrad", w, g, [s], (0.3, 0.0))  # 0.3 · 2 / √9
    assert (w[0], s[0]) == pytest.approx((0.8, 9.0))
    w, v = np.array([1.0]), np.array([8.5])
    single("rmsprop", w, g, [v], (0.3, 0.0, 0.9, 0.1, 0.0))  # v = 7.65 + 0.4
    assert (w[0], v[0]) == pytest.approx((1 - 0.6 / 8.05**0.5, 8.05))


def test_decay_comes_before_the_step_and_does_not_see_the_gradient():
    w, g = np.array([2.0]), np.array([3.0])
    single("sgd", w, g, [], (0.1,), (0.25, 1.0))  # 2 − 0.5, then 0.1 times the bound
    assert w[0] == pytest.approx(1.4)


def test_a_gradient_that_is_not_a_number_is_not_hidden_by_a_bound():
    w = np.zeros(1)
    single("sgd", w, np.array([np.nan]), [], (0.1,), (0.0, 1.0))
    assert np.isnan(w).all()


def test_adam_leaves_weights_alone_where_gradients_were_always_0():
    flat = Flat((2,), "float64")
    w, zero = np.array([1.5, -2]), np.zeros(2)
    run(update("adam", flat, w, zero, [zero.copy(), zero.copy()], np.array([*OFF, 0.1, 1e-7, 0.1, 0.001])))
    assert w.tolist() == [1.5, -2]


def test_one_plan_reads_the_learning_rate_anew():
    flat, w, g, hyper = Flat((3,), "float64"), np.zeros(3), np.ones(3), np.array([[*OFF, 0.5]])
    program = Program(update("sgd", flat, w, g, [], hyper))
    program.run()
    hyper[0, 2] = 0.25
    program.run()
    assert w.tolist() == [-0.75] * 3


def test_the_comparison_notices_epsilon_inside_the_root_and_a_missing_momentum():
    flat = Flat((50,), "float64")
    w, g, m = (flat.draw()[:50] for _ in range(3))
    v, new = np.full(50, 1e-10), w.copy()
    run(update("adam", flat, new, g, [m.copy(), v.copy()], np.array([*OFF, 0.1, 1e-4, 0.1, 0.001])))
    assert agree(new, twin.adam(w, g, m, v, 0.1, 0.9, 0.999, 1e-4)[0])
    assert not agree(new, w - 0.1 * (0.9 * m + 0.1 * g) / np.sqrt(v + 1e-4))
    new = w.copy()
    run(update("nesterov", flat, new, g, [m.copy()], np.array([*OFF, 0.1, 0.9])))
    assert agree(new, twin.sgd(w, g, m, 0.1, 0.9, True)[0])
    assert not agree(new, twin.sgd(w, g, m, 0.1, 0.9, False)[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_no_norm_is_above_the_limit(sizes, together, dtype):
    flat = Flat(sizes, dtype)
    g = flat.draw()
    for limit in (0.01, 5.0, 50.0, 1e9):
        run(clipping.factors(tensor(g), flat.segments, limit, together=together))
        assert_agree(flat.factors, twin.clip_factors(flat.split(g), limit, together))


def test_norms_of_nothing_and_of_no_numbers():
    flat, g = Flat((3, 2), "float64"), np.zeros(32)
    run(clipping.factors(tensor(g), flat.segments, 1.0, together=False))
    assert flat.factors.tolist() == [1, 1]
    g[17] = np.nan
    run(clipping.factors(tensor(g), flat.segments, 1.0, together=False))
    assert flat.factors[0] == 1
    assert np.isnan(flat.factors[1])
    run(clipping.factors(tensor(g), flat.segments, 1.0, together=True))
    assert np.isnan(flat.factors).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_ratios_are_those_of_the_norms(sizes, dtype):
    flat = Flat(sizes, dtype)
    w, moves = flat.draw(), flat.draw(0.1)
    first, end = flat.places[0]
    for nothing in (None, w, moves):
        if nothing is not None:
            nothing[first:end] = 0
        run(clipping.ratios(tensor(w), tensor(moves), flat.segments))
        pairs = zip(flat.split(w), flat.split(moves), strict=True)
        assert_agree(flat.ratios, [twin.norm_ratio(*pair) for pair in pairs])
        assert same_bits_on_1_and_2_threads(
            lambda: clipping.ratios(tensor(w), tensor(moves), flat.segments), flat.ratios
        )


def test_each_tensor_reads_its_row_of_numbers_and_a_pass_its_columns():
    flat = Flat((3, 2, 3), "float64")
    w, g = np.ones(48), np.ones(48)
    hyper = np.array([[9, *OFF, 0.5], [9, 0.25, 1, 0.5]])
    flat.rows[:] = 0, 1, 0
    run(update_rules.update("sgd", tensor(w), tensor(g), [], tensor(hyper), flat.segments, column=1))
    assert [part.tolist() for part in flat.split(w)] == [[0.5] * 3, [0.25] * 2, [0.5] * 3]


def test_lion_stays_where_its_direction_is_0_and_shows_what_is_no_number():
    w = np.array([1.0])
    single("lion", w, np.zeros(1), [np.zeros(1)], (0.1, 0.9, 0.1, 0.99, 0.01))
    assert w[0] == 1
    single("lion", w, np.array([np.nan]), [np.zeros(1)], (0.1, 0.9, 0.1, 0.99, 0.01))
    assert np.isnan(w[0])


@pytest.mark.parametrize("rule", RULES)
def test_threads_do_not_change_a_bit(rule):
    flat = Flat((SPAN + 5, 3, 2 * SPAN), "float32")
    w, g, state = flat.draw(), flat.draw(), state_of(rule, flat)
    hyper = np.array([0.01, 1.0, *TWINS[rule][1]])
    assert same_bits_on_1_and_2_threads(lambda: update(rule, flat, w, g, state, hyper), w, *state)


@pytest.mark.parametrize("together", [False, True])
def test_threads_do_not_change_a_factor(together):
    flat = Flat((SPAN + 5, 3, 20 * SPAN + 77), "float32")
    g = flat.draw()
    plan = lambda: clipping.factors(tensor(g), flat.segments, 1.0, together=together)  # noqa: E731
    assert same_bits_on_1_and_2_threads(plan, flat.factors)
