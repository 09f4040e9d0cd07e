"""overfit_batches trains on the first batches alone, again and again, and says what comes of it."""

from dataclasses import replace

import pytest

from cnncli.datasets.section import AUGMENTATIONS
from cnncli.errors import InterruptedRun
from cnncli.training.epochs import Epochs
from cnncli.training.events import BatchDone, Notice
from cnncli.training.loop.overfitting import CAUSES, Overfitting
from tests.training import small
from tests.training.small import interrupter, outcome


def plan(folder, batches, rate, **options):
    flip = [AUGMENTATIONS.parse({"RandomFlip": {"mode": "vertical"}})]
    optimizer = {"Adam": {"learning_rate": rate}}
    callbacks = [{"EarlyStopping": {"patience": 0}}]
    model = small.model(without=["dropout", "batch_normalization"])
    made = small.plan(folder, optimizer=optimizer, callbacks=callbacks, model=model, augment=flip, **options)
    return replace(made, fit=made.fit.replace(overfit_batches=batches))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    small.write_data(folder)
    return folder


def test_an_epoch_has_the_first_batches_of_the_first_one_again_and_again():
    epochs = Epochs(45, 8, only=4)
    starts = [[portion.start // 8 for portion in epochs.portions(epoch)] for epoch in range(3)]
    assert starts == [[0, 1, 2, 3, 0, 1]] * 3
    assert [epochs.passes(epoch) for epoch in range(3)] == [0, 0, 0]
    assert [epochs.before(epoch) for epoch in range(3)] == [0, 6, 12]


def test_a_network_that_learns_the_batches_ends_when_their_loss_is_small(data, tmp_path):
    events = []
    result = small.run(plan(data, 2, 0.05, epochs=200), tmp_path / "run", report=events.append)
    said = "overfit_batches: training on 16 images alone, without augmentation, validation, test and callbacks"
    assert isinstance(events[0], Notice)
    assert events[0].text.startswith(said)
    steps = len([event for event in events if isinstance(event, BatchDone)])
    assert steps % 2 == 0
    assert 10 < steps < 1200
    assert (result.stopped_by, result.test, "val_loss" in result.figures) == ("OverfitBatches", None, False)
    succeeded, text = result.overfitting
    assert succeeded
    assert text.startswith("overfit_batches: the loss of the 16 images went from ")
    assert text.endswith(
        f" in {steps} steps: data, network, loss and optimizer work together. Now train without overfit_batches"
    )
    small.run(plan(data, 2, 0.05, epochs=200), resume=tmp_path / "run", report=events.append)
    told = [event.text for event in events if isinstance(event, Notice)][-1]
    assert told.startswith("OverfitBatches ended this run after epoch ")
    assert told.endswith(" --set fit.overfit_batches=null")
    with pytest.raises(InterruptedRun):
        small.run(plan(data, 2, 0.05, epochs=200), tmp_path / "cut", report=interrupter(9))
    assert small.run(plan(data, 2, 0.05, epochs=200), resume=tmp_path / "cut").overfitting == result.overfitting
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "run")


def test_a_network_that_does_not_learn_them_trains_to_the_end_and_is_told_why_that_may_be(data, tmp_path):
    result = small.run(plan(data, 99, 1e-6, epochs=2), tmp_path / "run")
    assert (result.stopped_by, result.epoch) == ("", 2)
    succeeded, text = result.overfitting
    assert not succeeded
    assert text.startswith("overfit_batches: the loss of the 45 images went from ")
    assert text.endswith(f" in 12 steps, not to 1% of it. {CAUSES} More --epochs may be all that it needs.")


def test_a_training_that_ended_within_the_first_pass_says_nothing_of_the_network(data, tmp_path):
    short = plan(data, 3, 0.1)
    result = small.run(replace(short, fit=short.fit.replace(max_steps=2)), tmp_path / "run")
    succeeded, text = result.overfitting
    assert (succeeded, "not known" in text) == (False, True)


def test_regularization_does_not_count():
    """What is small is the loss of the images."""
    hooks, stopped = Overfitting(2), []

    class Context:
        step = 0

        def stop(self):
            stopped.append(self.step)

    class Sums:
        data_loss = 1.0

    class Event:
        sums = Sums()

    for Context.step, Sums.data_loss in enumerate((1.0, 3.0, 0.03, 0.02, 0.019, 0.021, 0.0, 0.03), 1):
        hooks.batch_done(Context(), Event())
    assert stopped == [6, 8]
