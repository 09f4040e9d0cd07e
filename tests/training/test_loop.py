import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from cnncli.errors import CnncliError, DivergedError, InterruptedRun, UsageError
from cnncli.system import signals
from cnncli.training.events import BatchDone, EpochDone, Stopped
from cnncli.training.loop import loop, session
from cnncli.training.loop.interruption import Interruption
from cnncli.training.loop.plan import RunOptions
from cnncli.training.metrics.evaluation import evaluated
from cnncli.training.runs import checkpoint
from tests.training import small
from tests.training.small import BATCHES, interrupter


@pytest.fixture
def data(tmp_path):
    small.write_data(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    small.write_data(folder)
    small.run(small.plan(folder), folder / "run")
    return small.outcome(folder / "run")


@pytest.mark.parametrize("after", [1, 3, BATCHES, BATCHES + 2, 2 * BATCHES, 3 * BATCHES - 1, 3 * BATCHES])
def test_an_interrupted_run_that_is_resumed_ends_with_the_same_bytes(data, whole, after):
    plan = small.plan(data)
    with pytest.raises(InterruptedRun) as caught:
        small.run(plan, data / "run", report=interrupter(after))
    assert caught.value.exit_code == 130
    assert str(caught.value).endswith(f"To resume: cnncli train --resume {data}/run")
    small.run(plan, resume=data / "run")
    assert small.outcome(data / "run") == whole


def test_a_run_interrupted_at_every_other_batch_ends_with_the_same_bytes(data, whole):
    plan = small.plan(data)
    with pytest.raises(InterruptedRun):
        small.run(plan, data / "run", report=interrupter(2))
    interruptions = 1
    for _ in range(3 * BATCHES):
        try:
            small.run(plan, resume=data / "run", report=interrupter(2, signal.SIGTERM))
        except InterruptedRun as error:
            assert error.exit_code == 143
            interruptions += 1
        else:
            break
    assert interruptions == 3 * BATCHES / 2
    assert small.outcome(data / "run") == whole


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_no_bit(data, whole, threads):
    small.run(small.plan(data), data / "run", threads=threads)
    assert small.outcome(data / "run") == whole


def test_an_interruption_while_validating_is_saved_too(data, whole, monkeypatch):
    def interrupting(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return evaluated(*arguments, **options)

    monkeypatch.setattr(loop, "evaluated", interrupting)
    with pytest.raises(InterruptedRun, match=f"^interrupted in epoch 1 after batch {BATCHES} of {BATCHES}"):
        small.run(small.plan(data), data / "run")
    monkeypatch.undo()
    small.run(small.plan(data), resume=data / "run")
    assert small.outcome(data / "run") == whole


def test_an_interruption_in_the_final_test_names_the_command_that_goes_on(data, whole, monkeypatch):
    def interrupting(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluated(*arguments, **options)

    monkeypatch.setattr(session, "evaluated", interrupting)
    with pytest.raises(InterruptedRun) as caught:
        small.run(small.plan(data), data / "run")
    monkeypatch.undo()
    assert caught.value.exit_code == 143
    said = f"interrupted in the final test; everything is saved. To resume: cnncli train --resume {data}/run"
    assert str(caught.value) == said
    assert small.run(small.plan(data), resume=data / "run").test is not None
    assert small.outcome(data / "run") == whole


def test_an_interruption_while_kernels_are_prepared_leaves_nothing(data, monkeypatch):
    monkeypatch.setattr(session, "prepare", lambda network, n, augment: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(InterruptedRun, match=r"^interrupted before the training began$") as caught:
        small.run(small.plan(data), data / "run")
    assert caught.value.exit_code == 143
    assert not (data / "run").exists()


@pytest.mark.parametrize("existed", [False, True])
def test_a_run_whose_first_checkpoint_can_not_be_written_leaves_nothing(data, monkeypatch, existed):
    def full(path, model):
        raise CnncliError("no space")

    if existed:
        (data / "run").mkdir()
    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(CnncliError, match="no space"):
        small.run(small.plan(data), data / "run")
    assert (data / "run").exists() == existed
    assert not existed or not any((data / "run").iterdir())


def test_a_run_that_was_killed_before_it_began_is_not_begun_with_other_weights(data):
    small.run(small.plan(data, epochs=0), data / "run")
    (data / "run/last.safetensors").unlink()
    with pytest.raises(UsageError, match=r"nothing to resume: .* start again: cnncli train .*/run/spec\.yaml$"):
        small.run(small.plan(data), resume=data / "run")
    assert (data / "run/spec.yaml").exists()


def test_a_run_that_ended_can_grow(data, whole):
    short, long = small.plan(data, epochs=1), small.plan(data)
    small.run(short, data / "run")
    small.run(long, resume=data / "run")
    assert small.outcome(data / "run") == whole


def test_the_best_model_of_a_run_that_grew_carries_the_spec_that_grew(data):
    """Weights that do not change keep the first epoch the best; statistics would."""
    still = {"callbacks": [], "optimizer": {"SGD": {"learning_rate": 0.0}}}
    short, grown = (
        replace(
            small.plan(data, epochs=epochs, **still),
            model=small.model(without=["batch_normalization"]),
            resolved={"name": "small", "fit": {"epochs": epochs}},
        )
        for epochs in (1, 3)
    )
    small.run(grown, data / "whole")
    small.run(short, data / "run")
    small.run(grown, resume=data / "run")
    assert checkpoint.load(data / "run/best.safetensors").metadata["epoch"] == "1"
    assert small.outcome(data / "run") == small.outcome(data / "whole")


def test_a_second_signal_stops_at_once_and_keeps_the_checkpoint_before(data):
    with pytest.raises(InterruptedRun, match=r"^stopped at once") as caught:
        small.run(small.plan(data), data / "run", report=interrupter(BATCHES + 2, signal.SIGTERM, times=2))
    assert caught.value.exit_code == 143
    assert json.loads(checkpoint.load(data / "run/last.safetensors").metadata["state"])["epoch"] == 1


@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_more_changes_nothing_once_an_interruption_of_the_command_is_on_its_way(times, monkeypatch):
    monkeypatch.setattr(signals, "installed", lambda: True)
    with pytest.raises(InterruptedRun), Interruption() as interruption:
        interruption.resume = "cnncli train --resume run"
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        interruption.raise_if_interrupted("in epoch 1")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.raise_signal(number)


@pytest.mark.parametrize("times", [1, 2])
def test_a_program_that_uses_the_library_has_its_handlers_back_after_an_interruption(times):
    before = [signal.getsignal(number) for number in signals.numbers()]
    with pytest.raises(InterruptedRun), Interruption() as interruption:
        interruption.resume = "cnncli train --resume run"
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        interruption.raise_if_interrupted("in epoch 1")
    assert [signal.getsignal(number) for number in signals.numbers()] == before


def test_signals_mean_what_they_did_once_a_training_has_ended():
    with Interruption():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_lines_of_epochs_that_a_checkpoint_does_not_know_are_not_doubled(data, whole):
    plan = small.plan(data)
    with pytest.raises(InterruptedRun):
        small.run(plan, data / "run", report=interrupter(BATCHES + 1))
    with (data / "run/metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "loss": 5}\n{"epoch"')
    small.run(plan, resume=data / "run")
    assert small.outcome(data / "run") == whole


def test_data_that_changed_can_not_be_trained_on_further(data):
    with pytest.raises(InterruptedRun):
        small.run(small.plan(data), data / "run", report=interrupter(2))
    small.write_data(data, scale=0.5)
    with pytest.raises(CnncliError, match=r"bars\.npz: the data must be those that the run began with; "):
        small.run(small.plan(data), resume=data / "run")


def test_a_run_whose_spec_was_edited_is_not_resumed_as_if_it_were_the_same(data):
    before, now = ({"BatchNormalization": {"name": "b", "inputs": [], **more}} for more in ({}, {"momentum": 0.99}))
    fit = {"epochs": 3, "shuffle": 1}
    resolved = {"seed": 3, "data": {"dataset": "a"}, "model": {"layers": [before]}, "fit": fit}
    plan = replace(small.plan(data), resolved=resolved)
    with pytest.raises(InterruptedRun):
        small.run(plan, data / "run", report=interrupter(2))
    fewer = replace(small.plan(data, callbacks=[]), resolved={**plan.resolved, "seed": 4, "fit": {"epochs": 3}})
    with pytest.raises(UsageError, match=r"spec\.yaml: .* other than the run began with: seed, fit$"):
        small.run(fewer, resume=data / "run")
    moved = {**plan.resolved, "data": {"dataset": "b"}, "expect": {"loss": "< 9"}, "fit": {**fit, "epochs": 9}}
    moved["model"] = {"layers": [now]}  # an argument that the run's version of cnncli did not know
    small.run(replace(plan, resolved=moved), resume=data / "run")


def test_a_model_file_is_no_checkpoint(data):
    small.run(small.plan(data, epochs=1), data / "run")
    (data / "run/best.safetensors").replace(data / "run/last.safetensors")
    with pytest.raises(CnncliError, match=r"is a model file, but no checkpoint to resume from"):
        small.run(small.plan(data, epochs=2), resume=data / "run")


def test_an_epochs_figures_are_means_over_its_samples(data):
    """With a learning rate of 0 every batch sees the same weights, so the mean does not depend on the batches."""
    plan = small.plan(data, epochs=1, callbacks=[], optimizer={"SGD": {"learning_rate": 0.0}})
    means = []
    small.run(plan, data / "run", report=means.append)
    epoch = means[-1].figures
    assert [event.batch for event in means[1:-1]] == list(range(1, BATCHES + 1))
    assert epoch["loss"] == means[-2].sums.figures()["loss"]
    assert epoch["accuracy"] * 45 == pytest.approx(round(epoch["accuracy"] * 45), abs=1e-9)
    kernel = checkpoint.load(data / "run/best.safetensors").weights["conv2d/kernel"]
    assert epoch["val_loss"] > 0.01 * float((kernel.astype(np.float64) ** 2).sum())


def test_best_is_the_lowest_val_loss_and_the_epoch_is_named(data):
    plan = small.plan(data, epochs=6, callbacks=[], optimizer={"Adam": {"learning_rate": 0.05}})
    result = small.run(plan, data / "run")
    losses = [json.loads(line)["val_loss"] for line in (data / "run/metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 6
    assert result.epoch == 1 + losses.index(min(losses))
    assert result.figures["val_loss"] == min(losses)
    assert checkpoint.load(data / "run/best.safetensors").metadata["epoch"] == str(result.epoch)


def test_without_validation_best_is_the_last(data):
    result = small.run(small.plan(data, validation_split=0.0, callbacks=[]), data / "run")
    best, last = (checkpoint.load(data / f"run/{name}.safetensors") for name in ("best", "last"))
    assert (result.epoch, best.digest, last.digest) == (3, result.digest, result.digest)
    assert set(result.figures) == {"loss", "accuracy"}


def test_early_stopping_ends_the_run_and_hands_out_the_weights_it_restores(data):
    stopping = {"EarlyStopping": {"monitor": "loss", "min_delta": 100.0, "patience": 2, "restore_best_weights": True}}
    events = []
    result = small.run(small.plan(data, epochs=9, callbacks=[stopping]), data / "run", report=events.append)
    assert events[-1] == Stopped(3, "EarlyStopping")
    assert result.epoch == 1
    first = small.run(small.plan(data, epochs=1, callbacks=[]), data / "first")
    assert result.digest == first.digest
    resumed = small.run(small.plan(data, epochs=20, callbacks=[stopping]), resume=data / "run")
    assert (resumed.epoch, resumed.digest) == (1, result.digest)


@pytest.mark.parametrize("after", [BATCHES - 1, BATCHES + 4, 3 * BATCHES])
def test_weights_kept_for_restoring_outlive_an_interruption(data, after):
    stopping = {"EarlyStopping": {"monitor": "loss", "min_delta": 100.0, "patience": 2, "restore_best_weights": True}}
    plan = small.plan(data, epochs=9, callbacks=[stopping])
    small.run(plan, data / "whole")
    with pytest.raises(InterruptedRun):
        small.run(plan, data / "run", report=interrupter(after))
    small.run(plan, resume=data / "run")
    assert small.outcome(data / "run") == small.outcome(data / "whole")


def test_no_epochs_leave_the_first_weights_as_a_run(data):
    result = small.run(small.plan(data, epochs=0), data / "run")
    assert result.epoch == 0
    assert result.test is not None
    assert (data / "run/metrics.jsonl").read_text() == ""
    again = small.run(small.plan(data, epochs=0, seed=4), data / "other", weights=data / "run/best.safetensors")
    assert again.digest == result.digest
    assert small.run(small.plan(data, epochs=0, seed=4), data / "seed").digest != result.digest


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_good_weights(data):
    plan = small.plan(data, epochs=5, callbacks=[], optimizer={"SGD": {"learning_rate": 1e30}})
    with pytest.raises(DivergedError, match=r"^(the loss is (nan|inf) in epoch 1, batch \d|the weights .* epoch 1)"):
        small.run(plan, data / "run")
    kept = checkpoint.load(data / "run/last.safetensors")
    assert kept.digest == small.run(small.plan(data, epochs=0), data / "none").digest


def test_weights_of_another_model_are_refused_before_a_run_is_made(data):
    other = {"conv2d/kernel": np.zeros((3, 3, 1, 3), np.float32)}
    checkpoint.save(data / "other.safetensors", checkpoint.ModelFile(other, {}))
    with pytest.raises(CnncliError, match=r"'conv2d/bias' is missing"):
        small.run(small.plan(data), data / "run", weights=data / "other.safetensors")
    assert not (data / "run").exists()


def test_images_per_second_count_training_alone(data):
    events = []
    small.run(small.plan(data, epochs=1), data / "run", report=events.append)
    done = events[-1]
    assert isinstance(done, EpochDone)
    assert done.images_per_second > 45 / done.seconds


@pytest.mark.parametrize("cut", [False, True])
def test_data_that_another_program_writes_to_end_the_run_with_its_checkpoint(data, cut):
    plan = npy_plan(data)

    def write(event):
        if isinstance(event, EpochDone):
            whole = (data / "x_train.npy").read_bytes()
            (data / "x_train.npy").write_bytes(whole[:1000] if cut else whole[:-1] + b"x")

    with pytest.raises(CnncliError, match=r"x_train\.npy was changed by another program .* cnncli train --resume"):
        small.run(plan, data / "run", report=write)
    state = json.loads(checkpoint.load(data / "run/last.safetensors").metadata["state"])
    assert (state["epoch"], state["batch"]) == (1, 0)


def npy_plan(data, **options):
    """A plan whose images and labels are in files of their own, of which the images stay there."""
    with np.load(data / "bars.npz") as bars:
        for name, array in bars.items():
            np.save(data / f"{name}.npy", array)
    plan = small.plan(data, **options)
    return replace(plan, data=plan.data.replace(dataset="x_train.npy"))


@pytest.mark.parametrize("file", ["x_train.npy", "x_val.npy"])
def test_a_run_whose_data_were_changed_and_put_back_goes_on_to_the_same_bits_and_loses_no_batch(data, file):
    with np.load(data / "bars.npz") as bars:
        np.save(data / "x_val.npy", bars["x_test"])
        np.save(data / "y_val.npy", bars["y_test"])
    plan = npy_plan(data, validation_split=0.0)
    small.run(plan, data / "whole")
    content, seen = (data / file).read_bytes(), []

    def write(event):
        if isinstance(event, BatchDone):
            seen.append(event)
            if len(seen) == 10:  # the third of the second epoch's seven
                (data / file).write_bytes(content[:-1] + b"x")

    with pytest.raises(CnncliError, match=rf"{file} was changed"):
        small.run(plan, data / "run", report=write)
    state = json.loads(checkpoint.load(data / "run/last.safetensors").metadata["state"])
    assert (state["epoch"], state["batch"]) == (1, 3 if file == "x_train.npy" else 7)
    (data / file).write_bytes(content)
    small.run(plan, resume=data / "run")
    assert small.outcome(data / "run") == small.outcome(data / "whole")


def test_data_that_are_changed_before_the_run_begins_leave_no_run_and_promise_none(data):
    plan = npy_plan(data)
    dataset = session.read_data(plan)
    with (data / "x_train.npy").open("r+b") as file:
        file.seek(200)
        file.write(b"x")
    with pytest.raises(CnncliError, match=r"x_train\.npy was changed by another program while it was being read$"):
        session.train(plan, dataset, RunOptions(output=data / "run"), 2, lambda event: None)
    assert not (data / "run").exists()
