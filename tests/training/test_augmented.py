"""Training on augmented batches: as exact as any other, and only training sees them."""

import pytest

from cnncli.errors import InterruptedRun
from tests.training import small
from tests.training.small import BATCHES, interrupter

AUGMENT = (
    {"RandomFlip": {"mode": "horizontal"}},
    {"RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2, "fill_mode": "constant"}},
    {"RandomRotation": {"factor": 0.05}},
)


@pytest.fixture
def data(tmp_path):
    small.write_data(tmp_path)
    return tmp_path


def test_neither_threads_nor_interruptions_in_the_middle_of_an_epoch_change_a_bit(data):
    plan = small.plan(data, augment=AUGMENT)
    small.run(plan, data / "whole", threads=1)
    with pytest.raises(InterruptedRun):
        small.run(plan, data / "run", report=interrupter(2))
    with pytest.raises(InterruptedRun):
        small.run(plan, resume=data / "run", report=interrupter(BATCHES + 1), threads=1)
    small.run(plan, resume=data / "run")
    assert small.outcome(data / "run") == small.outcome(data / "whole")


def test_the_seed_decides_what_is_drawn(data):
    still = {"optimizer": {"SGD": {"learning_rate": 0.0}}, "epochs": 2, "callbacks": []}
    figures = [
        small.run(small.plan(data, augment=augment, seed=3, **still), data / name).figures
        for name, augment in (("plain", ()), ("one", AUGMENT), ("other", AUGMENT[:1]))
    ]
    assert len({each["loss"] for each in figures}) == 3


def test_validation_and_test_images_are_left_alone(data):
    still = {"optimizer": {"SGD": {"learning_rate": 0.0}}, "epochs": 1, "callbacks": []}
    away = {"RandomTranslation": {"height_factor": [1, 1], "width_factor": 0, "fill_mode": "constant"}}
    model = small.model(without=["batch_normalization", "dropout"])
    plain, empty = (
        small.run(small.plan(data, augment=augment, model=model, **still), data / name)
        for name, augment in (("plain", ()), ("empty", [away]))
    )
    assert plain.figures["loss"] != empty.figures["loss"]
    assert plain.figures["val_loss"] == empty.figures["val_loss"]
    assert plain.test == empty.test
