import pytest

from cnncli.layers.declarations.field_types import Number
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.training.optimizers.optimizers import OPTIMIZERS
from cnncli.training.optimizers.schedules import SCHEDULES, StepCount, updates


@pytest.mark.parametrize(
    ("steps", "batches", "expected"),
    [
        (80, 57, 80),
        (80.5, 57, 80.5),
        ("80 epochs", 57, 4560),
        ("0.5 epochs", 57, 29),  # 28.5: the update that is begun counts
        ("0.1 epochs", 30, 3),  # not 4, as floating point would have it
        ("1.25 epochs", 8, 10),
        ("0.000001 epochs", 10, 1),
        ("0 epochs", 10, 0),
        ("1 epoch", 9, 9),
    ],
)
def test_epochs_become_updates(steps, batches, expected):
    assert updates(StepCount(Number(0)).read(steps), batches) == expected


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        0.0,
        float("inf"),
        True,
        None,
        "80",
        "80 epoch",
        "80epochs",
        "-1 epochs",
        "0.0 epochs",
        "٣ epochs",
        {"epochs": 8},
    ],
)
def test_what_is_no_number_of_steps_is_refused(value):
    with pytest.raises(ValidationError):
        StepCount(Number(above=0)).read(value)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5}),
        ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5}),
        ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 5, "cycle": True}),
        ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 5, "warmup_target": 1, "warmup_steps": 10}),
        ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 5}),
        ("PiecewiseConstantDecay", {"boundaries": [5, 10], "values": [1, 2, 3]}),
        ("OneCycle", {"max_learning_rate": 0.1, "total_steps": 20}),
        ("WarmUp", {"steps": 10, "then": {"PiecewiseConstantDecay": {"boundaries": [5], "values": [1, 2]}}}),
    ],
)
def test_a_schedule_in_epochs_is_one_in_updates(name, arguments):
    def epochs(value):
        return [epochs(item) for item in value] if isinstance(value, list) else f"{value / 10} epochs"

    steps = {key: epochs(value) for key, value in arguments.items() if key.endswith(("steps", "boundaries"))}
    in_updates, in_epochs = SCHEDULES.parse({name: arguments}), SCHEDULES.parse({name: arguments | steps})
    rates = [in_updates.rate(step, 1) for step in range(30)]
    assert [in_epochs.rate(step, 10) for step in range(30)] == rates
    assert len(set(rates)) > 2
    assert SCHEDULES.parse({name: in_epochs.plain()}) == in_epochs
    named = SCHEDULES.parse({name: {**arguments, "name": "mine"}})
    assert [named.rate(step, 1) for step in range(30)] == rates


@pytest.mark.parametrize("factor", [1.5, 2, 3, 5])
def test_restarts_begin_at_the_top_exactly(factor):
    schedule = SCHEDULES.parse(
        {"CosineDecayRestarts": {"initial_learning_rate": 1, "first_decay_steps": 16, "t_mul": factor}}
    )
    step = length = 16
    for _ in range(4):
        assert schedule.rate(int(step), 1) == 1
        assert schedule.rate(int(step) - 1, 1) < 0.1
        length *= factor
        step += length


def test_a_warm_up_in_front_of_a_cosine_is_that_of_the_cosine():
    cosine = {"initial_learning_rate": 0.4, "decay_steps": 12, "alpha": 0.1}
    warm = {"WarmUp": {"steps": 5, "then": {"CosineDecay": cosine}, "initial_learning_rate": 0.1}}
    own = {"CosineDecay": {**cosine, "initial_learning_rate": 0.1, "warmup_target": 0.4, "warmup_steps": 5}}
    found, expected = ([SCHEDULES.parse(given).rate(step, 1) for step in range(25)] for given in (warm, own))
    assert found == expected


def test_a_warm_up_in_front_of_a_number_and_of_another_one():
    def rates(given):
        return [SCHEDULES.parse(given).rate(step, 4) for step in range(7)]

    assert rates({"WarmUp": {"steps": 4, "then": 0.5}}) == [0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    assert rates({"WarmUp": {"steps": 3.5, "then": 1.0}}) == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    twice = {"WarmUp": {"steps": 2, "then": {"WarmUp": {"steps": "1 epoch", "then": 1, "initial_learning_rate": 0.5}}}}
    assert rates(twice) == [0, 0.25, 0.5, 0.625, 0.75, 0.875, 1]


def test_a_rate_beyond_all_numbers_is_infinite():
    growing = {"initial_learning_rate": 1, "decay_steps": 1, "decay_rate": 10}
    assert SCHEDULES.parse({"ExponentialDecay": growing}).rate(400, 1) == float("inf")


def test_every_optimizer_takes_a_schedule_and_all_options():
    schedule = {"PiecewiseConstantDecay": {"boundaries": [1], "values": [0.5, 0.25]}}
    for cls in OPTIMIZERS:
        optimizer = cls(learning_rate=schedule, weight_decay=0.1)
        assert [optimizer.hyper(step, optimizer.rate(step - 1, 1))[0] for step in (1, 2, 3)] == [0.05, 0.05, 0.025]
        with pytest.raises(ValidationError, match="only one of"):
            cls(clipnorm=1, clipvalue=1)


def test_nadams_momentum_is_the_same_from_any_step_on():
    nadam, product = OPTIMIZERS.parse("nadam"), 1.0
    for step in range(1, 60):
        now, following = (0.9 * (1 - 0.5 * 0.96**t) for t in (step, step + 1))
        product *= now
        assert nadam.numbers(step, 1.0)[:2] == pytest.approx(
            (following / (1 - product * following), (1 - now) / (1 - product)), rel=1e-12
        )
    assert nadam.numbers(100_000, 1.0)[:2] == pytest.approx((0.9, 0.1))
