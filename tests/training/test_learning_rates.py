"""The range test against a training written out by hand, and what it suggests."""

from dataclasses import replace
from math import inf, isclose, nan

import numpy as np
import pytest

from cnncli.datasets.batches import Feed, order
from cnncli.errors import CnncliError
from cnncli.spec.spec import load
from cnncli.training.loop import range_test as learning_rates
from cnncli.training.loop.plan import RunOptions
from cnncli.training.loop.range_test import Range, range_test
from cnncli.training.loop.session import read_data, ready
from cnncli.training.optimizers.optimizers import OPTIMIZERS
from tests.training import small

FEW = Range(1e-4, 1e3, 80)


def calm(data, optimizer="sgd", *, batch_size=64, without=("dropout",)):
    """A plan whose losses have no noise but that of batches."""
    plan = small.plan(data, optimizer=optimizer, model=small.model(without))
    return replace(plan, fit=plan.fit.replace(batch_size=batch_size))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    small.write_data(folder)
    return folder


def measured(plan, rates=FEW, threads=2):
    dataset = read_data(plan)
    return range_test(plan, dataset, ready(plan, dataset, RunOptions(), threads, lambda event: None), rates)


def losses_by_hand(plan, rates):
    """The mean loss of each batch of plain gradient descent in NumPy, at these rates."""
    dataset = read_data(plan)
    network = ready(plan, dataset, RunOptions(), 2, lambda event: None)
    feed = Feed.of(dataset.train, plan.rescale, network, seed=plan.seed)
    losses, step, size = [], 0, plan.fit.batch_size
    while step < len(rates):
        rows = order(len(dataset.train), plan.seed, step // -(-len(dataset.train) // size), shuffle=True)
        for start in range(0, len(rows), size):
            step += 1
            n = feed.fill(rows[start : start + size], step)
            network.train_step(n, plan.seed, step)
            losses.append(float(np.mean(network.losses[:n], dtype=np.float64)) + network.penalty())
            network.weights.data -= np.float32(rates[step - 1]) * network.gradients.data
            if step == len(rates):
                break
    return losses


def test_the_losses_are_those_of_a_training_at_growing_rates(data):
    found = measured(calm(data, batch_size=16))
    count = found.lowest + 1  # beyond, rounding errors grow as well
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 1e3, 80)[: len(found.rates)], rtol=1e-12)
    by_hand = losses_by_hand(calm(data, batch_size=16), found.rates[:count])
    np.testing.assert_allclose(found.losses[:count], by_hand, rtol=1e-3)


def test_the_smoothed_loss_is_the_mean_of_those_before_with_weights_that_fall_by_a_tenth(data):
    found = measured(calm(data))
    for end in range(1, len(found.losses) + 1):
        weights = 0.9 ** np.arange(end)[::-1]
        assert found.smoothed[end - 1] == pytest.approx(np.average(found.losses[:end], weights=weights))
    assert found.lowest == 10 + int(np.argmin(found.smoothed[10:]))
    falls = np.gradient(found.smoothed)[10 : found.lowest]
    assert found.steepest == 10 + int(np.argmin(falls))
    assert found.suggestion == pytest.approx(found.rates[found.lowest] / 10, rel=0.05)
    assert found.diverged
    assert found.smoothed[-1] > 4 * min(found.smoothed[10:])
    assert all(value <= 4 * min(found.smoothed[10 : end + 1]) for end, value in enumerate(found.smoothed[10:-1], 10))


def test_the_numbers_are_the_same_every_time_with_any_threads_and_whatever_the_rate_of_the_spec(data):
    schedule = {"CosineDecay": {"initial_learning_rate": 0.5, "decay_steps": 3}}
    optimizers = [{"Adam": {"learning_rate": rate}} for rate in (0.001, schedule)]
    first, *others = [
        measured(calm(data, optimizer), threads=threads)
        for optimizer, threads in zip([*optimizers, "adam"], (2, 2, 1), strict=True)
    ]
    assert others == [first, first]


@pytest.mark.parametrize("name", OPTIMIZERS.classes)
def test_every_optimizer_can_be_tested(data, name):
    found = measured(calm(data, {name: {}}), Range(1e-2 if name == "Ftrl" else 1e-5, 1e4, 80))
    assert 0 < found.suggestion < 1e4


def test_an_update_of_several_batches_is_one_point(data):
    found = measured(calm(data, {"SGD": {"gradient_accumulation_steps": 3}}, batch_size=16))
    three = losses_by_hand(calm(data, batch_size=16), [0.0] * 3)
    assert found.losses[0] == pytest.approx(np.average(three, weights=[16, 16, 13]), rel=1e-4)


def test_a_loss_that_never_falls_is_an_error(data):
    why = r"the loss, [\d.]+, does not fall at any rate from 1e-12 to 1e-11: no learning rate can be found; try higher"
    with pytest.raises(CnncliError, match=why):
        measured(calm(data), Range(1e-12, 1e-11, 40))


@pytest.mark.parametrize(
    ("losses", "why"),
    [
        ([nan], "the loss of the first batch is not a finite number"),
        ([1.0, inf], r"the loss, 1, does not fall before it grows at 0.0001: .* begin lower, with --from"),
        (np.geomspace(1.0, 1e9, 80), r"the loss, 1, does not fall before it grows at [\d.]+: no learning rate"),
        ([1.0, *np.geomspace(1e9, 1e3, 79)], r"the loss, 1, does not fall at any rate from 0.0001 to 1e\+03"),
        (np.random.default_rng(0).normal(1.0, 0.1, 80), r"the loss, [\d.]+, does not fall at any rate"),
    ],
)
def test_losses_that_tell_nothing_are_an_error(data, monkeypatch, losses, why):
    monkeypatch.setattr(learning_rates, "_losses", lambda *about: iter(losses))
    with pytest.raises(CnncliError, match=why):
        measured(calm(data))


SPEC = """\
data: {dataset: {synthetic: {image_shape: [8, 8, 1], classes: 2, train: 40, test: 4}}}
model: {layers: [Flatten, Dense: {units: 2, activation: softmax}]}
compile: {optimizer: {SGD: {learning_rate: RATE}}, loss: categorical_crossentropy}
"""


@pytest.mark.parametrize(
    "rate",
    [
        "0.1",
        "{ExponentialDecay: {initial_learning_rate: 0.1, decay_steps: 5, decay_rate: 0.5}}",
        "{PiecewiseConstantDecay: {boundaries: [5, 9], values: [0.1, 0.2, 0.05]}}",
        "{PolynomialDecay: {initial_learning_rate: 0.1, decay_steps: 9}}",
        "{InverseTimeDecay: {initial_learning_rate: 0.1, decay_steps: 5, decay_rate: 0.5}}",
        "{CosineDecay: {initial_learning_rate: 0.1, decay_steps: 20}}",
        "{CosineDecay: {initial_learning_rate: 0, decay_steps: 20, warmup_target: 0.1, warmup_steps: 4}}",
        "{CosineDecayRestarts: {initial_learning_rate: 0.1, first_decay_steps: 5}}",
        "{OneCycle: {max_learning_rate: 0.1, total_steps: 20, pct_start: 0.5}}",
        "{WarmUp: {steps: 4, then: 0.1}}",
        "{WarmUp: {steps: 4, then: {CosineDecay: {initial_learning_rate: 0.1, decay_steps: 20}}}}",
    ],
)
def test_the_setting_makes_the_suggestion_the_highest_rate_of_a_spec(tmp_path, rate):
    path = tmp_path / "mine.yaml"
    path.write_text(SPEC.replace("RATE", rate))
    key, value = load(path).compile.optimizer.with_highest(0.03)
    changed = load(path, [f"compile.optimizer.{key}={value}"]).compile.optimizer
    assert max(changed.rate(step, 5) for step in range(30)) == pytest.approx(0.03, rel=0.02)
    before = load(path).compile.optimizer
    shapes = [[each.rate(step, 5) > 0 for step in range(30)] for each in (before, changed)]
    assert shapes[0] == shapes[1]
    assert isclose(changed.rate(0, 5), 0.03 / 0.2 * before.rate(0, 5)) or "Piecewise" not in rate
