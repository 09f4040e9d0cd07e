from types import SimpleNamespace

import numpy as np
import pytest

from cnncli.kernels.batch import shared
from cnncli.kernels.jit.runtime import SPAN, Program, run
from cnncli.kernels.losses import loss_functions
from cnncli.kernels.losses.loss_rules import RULES
from tests.kernels.agreement import DTYPES, agree, assert_agree, same_bits_on_1_and_2_threads, shapes, tensors
from tests.kernels.loss_cases import OF_LOGITS, OF_PROBABILITIES, USERS, problem, twin

SIGNS = ("mean_absolute_error", "mean_absolute_percentage_error", "hinge")
"""Losses whose slope depends on a sign, which a small change of targets leaves as it is."""


def of_samples(given):
    """Without the loss of a whole batch, which each of its samples shares."""
    if "axis" in given.arguments:
        given.arguments["axis"] = (1, 2, 3)
    return given


def loss(name, given, x=None):
    """The kernel's (loss, probabilities); losses without a nonlinearity of their own give the prediction back."""
    x = given.x if x is None else x
    values, probabilities = np.full_like(given.weight, 7), np.full_like(x, 7)
    run(loss_steps(name, given, x, values, probabilities))
    return values, probabilities if name in OF_LOGITS else x


def loss_steps(name, given, x, values, probabilities):
    filled = tensors(probabilities) if name in OF_LOGITS else []
    return loss_functions.loss(name, given.arguments, *tensors(x, given.target, given.weight, values), *filled)


def gradient_steps(name, given, prediction, out):
    return loss_functions.gradient(name, given.arguments, *tensors(prediction, given.target, given.weight, out))


def gradient(name, given, prediction):
    out = np.full_like(prediction, 7)
    run(gradient_steps(name, given, prediction, out))
    return out


def expected_loss(name, given):
    x, target, weight = (array.astype(np.float64) for array in (given.x, given.target, given.weight))
    return twin(name)(x, target, weight, **given.arguments)


def expected_gradient(name, given, prediction):
    x, target, weight = (array.astype(np.float64) for array in (prediction, given.target, given.weight))
    return twin(name, "_gradient")(x, target, weight, **given.arguments)


def test_every_rule_is_that_of_a_registered_loss():
    assert set(USERS) == set(RULES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RULES)
def test_loss_and_gradient_agree_with_their_twins(name, dtype):
    for shape, generator in shapes(1, [2, 2, 3, 4], long_axis=0):
        given = problem(name, shape, dtype, generator)
        values, prediction = loss(name, given)
        assert_agree(values, expected_loss(name, given), shape)
        expected = expected_gradient(name, given, prediction)
        if name == "cosine_similarity" and shape[-1] == 1:  # one number has two directions and no slope
            expected = np.round(expected, 12)
        size = np.abs(expected).max() or 1  # small gradients of large batches must be right, too
        found = gradient(name, given, prediction) / size
        assert agree(found.astype(dtype), expected / size), shape


@pytest.mark.parametrize("name", RULES)
def test_gradient_is_the_finite_difference_of_the_mean_over_the_batch(name):
    step = 1e-6
    for shape, generator in shapes(2, [2, 3], count=12):
        if np.prod(shape) > 400:
            continue
        given = problem(name, shape, "float64", generator)
        found = gradient(name, given, loss(name, given)[1])
        for index in np.ndindex(shape):
            nudge = np.zeros(shape)
            nudge[index] = step
            up, down = loss(name, given, given.x + nudge)[0], loss(name, given, given.x - nudge)[0]
            assert found[index] == pytest.approx((up.mean() - down.mean()) / (2 * step), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", OF_LOGITS)
def test_probabilities_are_those_of_the_logits_also_in_place(name):
    given = problem(name, (5, 3, 4), "float64", np.random.default_rng(3))
    values, probabilities = loss(name, given)
    e = np.exp(given.x)
    expected = {"softmax": e / e.sum(-1, keepdims=True), "sigmoid": e / (1 + e)}
    assert_agree(probabilities, expected[OF_LOGITS[name]])
    place, again = given.x.copy(), np.empty_like(values)
    run(loss_steps(name, given, place, again, place))
    assert place.tobytes() == probabilities.tobytes()
    assert again.tobytes() == values.tobytes()


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.survey])
def test_parts_of_a_batch_have_the_losses_and_the_gradient_of_the_whole(name):
    """With sums of all parts, of which one is idle: its row does not count."""
    given = problem(name, (7, 2, 3), "float64", np.random.default_rng(6))
    given.target[:4] = np.round(np.clip(given.target[:4], 0, 1))  # a part with only 0 and 1
    values, slopes, asked = np.zeros(8), np.zeros((8, 2, 3)), []
    parts = [(slice(4), slice(4)), (slice(4, 7), slice(4, 7)), (slice(1), slice(7, 8))]
    share = shared.Share(lambda numbers: numbers)
    try:
        shared.share(share)
        programs = []
        for rows, place in parts:
            x, target, weight = tensors(given.x[rows], given.target[rows], given.weight[rows])
            filled = tensors(values[place], slopes[place])
            steps = loss_functions.loss(name, given.arguments, x, target, weight, filled[0], in_parts=True)
            steps += loss_functions.gradient(name, given.arguments, x, target, weight, filled[1], in_parts=True)
            programs.append(Program(steps))

        def run_all(total):
            for program, (_, place) in zip(programs, parts, strict=True):
                share.fraction = len(range(7)[place]) / 7
                with share.telling(total):
                    program.run()

        run_all(lambda numbers: asked.append(numbers.copy()) or numbers)
        whole = sum(asked[::2])  # the gradient asks with the same numbers as the loss
        run_all(lambda numbers: whole)
    finally:
        shared.share(None)
    slopes[:4] *= 4 / 7
    slopes[4:7] *= 3 / 7
    assert_agree(values[:7], expected_loss(name, given))
    assert_agree(slopes[:7], expected_gradient(name, given, given.x))


@pytest.mark.parametrize("name", RULES)
def test_gradient_may_replace_the_prediction(name):
    given = problem(name, (6, 5), "float32", np.random.default_rng(4))
    prediction = loss(name, given)[1].copy()
    expected = gradient(name, given, prediction)
    run(gradient_steps(name, given, prediction, prediction))
    assert prediction.tobytes() == expected.tobytes()


def test_hand_computed_losses_and_gradients():
    def values(name, x, target, weight=(1.0,), smoothing=0.0):
        arrays = [np.array(array, dtype=np.float64) for array in (x, target, weight)]
        given = SimpleNamespace(x=arrays[0], target=arrays[1], weight=arrays[2])
        given.arguments = {"label_smoothing": smoothing}
        found, prediction = loss(name, given)
        return found[0], gradient(name, given, prediction)[0]

    found, slope = values("softmax_cross_entropy", [[0, 0]], [[1, 0]], weight=[3])
    assert found == pytest.approx(3 * np.log(2))
    assert slope == pytest.approx([-1.5, 1.5])
    found, slope = values("cross_entropy", [[1, 3]], [[1, 0]])  # q = (1/4, 3/4); dL/dp = (1 − 4)/4, 1/4
    assert found == pytest.approx(np.log(4))
    assert slope == pytest.approx([-0.75, 0.25])
    # q = (1/2, 1) as near as the clip has it, q / Σq = (1/3, 2/3); dL/dp = 2/3 − 2, 0 where 3 was clipped
    found, slope = values("sparse_cross_entropy", [[0.5, 3]], [[1, 0]])
    assert found == pytest.approx(np.log(3))
    assert slope == pytest.approx([2 / 3 - 2, 0])
    found, slope = values("sigmoid_cross_entropy", [[0, 0]], [[1, 0]], smoothing=0.5)  # t = (3/4, 1/4)
    assert found == pytest.approx(np.log(2))
    assert slope == pytest.approx([-0.125, 0.125])
    found, slope = values("binary_cross_entropy", [[0.25]], [[1]])
    assert found == pytest.approx(np.log(4))
    assert slope == pytest.approx([-4])
    found, slope = values("mean_squared_error", [[1, 2]], [[0, 4]])
    assert found == pytest.approx(2.5)
    assert slope == pytest.approx([1, -2])
    found, slope = values("mean_squared_error", [3], [1])  # one number a sample, no last axis
    assert (found, slope) == (4, 4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_probabilities_of_0_and_1_cost_what_the_clip_says_and_pass_no_gradient(dtype):
    given = SimpleNamespace(
        x=np.array([[0, 1], [1, 0]], dtype),
        target=np.array([[1, 0], [1, 0]], dtype),
        weight=np.ones(2, dtype),
        arguments={},
    )
    bounds = np.array([1e-7, 1 - 1e-7], dtype).astype(np.float64)  # as Keras, the nearest numbers of the dtype
    ones, zeros = -np.log(bounds), -np.log(1 - bounds[::-1])  # what wrong and right outputs cost, by their target
    expected = {"cross_entropy": ones, "binary_cross_entropy": (ones + zeros) / 2}
    expected["sparse_cross_entropy"] = ones + np.log(bounds.sum())
    for name, costs in expected.items():
        assert loss(name, given)[0] == pytest.approx(costs, rel=1e-6)
        assert not gradient(name, given, given.x).any()
    given.arguments = {"alpha": 0.25, "beta": 0.5, "gamma": 2.0, "apply_class_balancing": False, "q": 0.5, "axis": -1}
    passing = {
        "focal_cross_entropy": 0.25 * (1 - bounds) ** 2 * ones,
        "binary_focal_cross_entropy": [(ones + zeros)[0] / 2, 0],
        "kl_divergence": [ones[0] + bounds[0] * np.log(bounds[0]), 0],
        "generalized_cross_entropy": [2, 0],
        "dice": [1, 0],
        "tversky": [1, 0],
    }
    assert {*expected, *passing} == set(OF_PROBABILITIES)
    for name, costs in passing.items():
        assert loss(name, given)[0] == pytest.approx(costs, rel=1e-6, abs=2e-7)
        assert np.isfinite(gradient(name, given, given.x)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_logits_of_any_size_give_finite_losses(dtype):
    given = SimpleNamespace(
        x=np.array([[1000, 0], [0, 1000]], dtype), target=np.array([[1, 0], [1, 0]], dtype), weight=np.ones(2, dtype)
    )
    given.arguments = {}
    assert np.array_equal(loss("softmax_cross_entropy", given)[0], [0, 1000])
    # −log sigmoid(1000) = 0, −log sigmoid(0) = log 2, −log(1 − sigmoid(1000)) = 1000
    assert loss("sigmoid_cross_entropy", given)[0] == pytest.approx([np.log(2) / 2, (np.log(2) + 1000) / 2], rel=1e-6)
    given.x[1, 0] = -np.inf
    given.target[1] = [0, 1]
    assert np.array_equal(loss("softmax_cross_entropy", given)[0], [0, 0])


@pytest.mark.parametrize("name", RULES)
def test_a_nan_reaches_the_loss_of_its_sample_only(name):
    given = of_samples(problem(name, (3, 4), "float32", np.random.default_rng(5)))
    given.x[1, 2], given.target[1, 2] = np.nan, 1
    assert np.array_equal(np.isnan(loss(name, given)[0]), [False, True, False])


@pytest.mark.parametrize("name", RULES)
def test_a_nan_reaches_the_gradient_of_its_sample_only(name):
    given = of_samples(problem(name, (3, 4), "float32", np.random.default_rng(5)))
    given.x[1, 2] = np.nan
    probabilities = loss(name, given)[1]
    assert np.array_equal(np.isnan(gradient(name, given, probabilities)).any(axis=1), [False, True, False])


@pytest.mark.parametrize("name", RULES)
def test_the_comparison_notices_wrong_results(name):
    given = of_samples(problem(name, (6, 5), "float64", np.random.default_rng(6)))
    if "apply_class_balancing" in given.arguments:  # without it alpha changes nothing
        given.arguments["apply_class_balancing"] = True
    if "label_smoothing" in given.arguments:
        given.arguments["label_smoothing"] = 0.1
    values, prediction = loss(name, given)
    slopes = gradient(name, given, prediction)

    def agrees():
        found = agree(values, expected_loss(name, given)), agree(slopes, expected_gradient(name, given, prediction))
        return all(found) if all(found) == any(found) else found

    assert agrees() is True
    given.weight = given.weight[::-1]
    assert agrees() is False
    given.weight, target = given.weight[::-1], given.target
    given.target = target + 1e-6
    assert agrees() in ((False, (False, True)) if name in SIGNS else (False,))
    given.target = -target
    assert agrees() is False
    given.target = target
    for argument, number in list(given.arguments.items()):
        if argument in ("apply_class_balancing", "axis"):
            continue
        given.arguments[argument] = number + 0.01
        assert agrees() is False, argument
        given.arguments[argument] = number


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if not rule.survey])  # else on one thread
def test_threads_do_not_change_a_bit(name):
    given = of_samples(problem(name, (SPAN, 9), "float32", np.random.default_rng(7)))
    values, probabilities, out = np.empty(SPAN, "float32"), np.empty_like(given.x), np.empty_like(given.x)
    steps = loss_steps(name, given, given.x, values, probabilities)
    assert same_bits_on_1_and_2_threads(lambda: steps, values, probabilities)
    assert same_bits_on_1_and_2_threads(lambda: gradient_steps(name, given, given.x, out), out)
