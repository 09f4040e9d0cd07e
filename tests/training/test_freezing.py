"""Training with frozen layers is Keras' `fit` with `trainable = False`: normalization keeps and uses its statistics.

Unfreezing them at an epoch is Keras' `fit`, `trainable = True`, `compile` and `fit` again.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnncli.datasets.batches import Feed
from cnncli.errors import ChangedDataError, CnncliError, InterruptedRun
from cnncli.spec.spec import parse
from cnncli.training.events import EpochDone, PhaseBegins
from cnncli.training.phases import Unfreezing
from cnncli.training.runs import checkpoint
from cnncli.training.sections import CompileSection, FitSection
from tests.training import small

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "freezing.json").read_text())["cases"]
SPEC = """
data: {dataset: bars.npz}
model:
  layers:
    - Conv2D: {filters: 2, kernel_size: 3}
    - BatchNormalization
    - Flatten
    - Dense: {units: 3, activation: softmax}
compile: {optimizer: sgd, loss: categorical_crossentropy}
"""


WHOLE, UNFROZEN = CASES[:4], CASES[4:]


def plan_of(case, folder, sets, epochs, optimizer):
    x, y = np.array(case["x"], np.float32), np.array(case["y"])
    np.savez(folder / "bars.npz", x_train=x[:13], y_train=y[:13], x_val=x[13:], y_val=y[13:])
    sets = [f"model.freeze={json.dumps(case['frozen'])}", f"fit.epochs={epochs}", *sets]
    spec = parse(SPEC, "spec.yaml", sets, base=folder)
    return replace(
        small.plan(folder, validation_split=0.0),
        model=spec.model,
        unfreezing=spec.unfreezing,
        compile=CompileSection(optimizer=optimizer, loss="categorical_crossentropy"),
        fit=FitSection(epochs=epochs, batch_size=5, shuffle=False),
    )


@pytest.mark.parametrize("case", WHOLE, ids=[case["name"] for case in WHOLE])
def test_two_epochs_are_those_of_keras(tmp_path, monkeypatch, case):
    plan = plan_of(case, tmp_path, [], 2, {"SGD": {"learning_rate": 0.2}})
    start = {name: np.array(value, np.float32) for name, value in case["start"].items()}
    small.assert_fits_as_keras(plan, tmp_path / "run", monkeypatch, start, case)


@pytest.mark.parametrize("case", UNFROZEN, ids=[case["name"] for case in UNFROZEN])
def test_unfreezing_is_compiling_again_in_keras(tmp_path, monkeypatch, case):
    at = json.dumps({"epoch": 2, "rate_factor": case["rate_factor"]})
    sets = [f"model.unfreeze_at={at}", f"model.layers.conv2d.use_bias={json.dumps('conv2d/bias' in case['start'])}"]
    plan = plan_of(case, tmp_path, sets, 3, case["optimizer"])
    start = {name: np.array(value, np.float32) for name, value in case["start"].items()}
    small.assert_fits_as_keras(plan, tmp_path / "run", monkeypatch, start, case)


RATE = {"CosineDecay": {"initial_learning_rate": 0.01, "decay_steps": "4 epochs"}}
SCHEDULED = {"Adam": {"learning_rate": RATE, "use_ema": True, "gradient_accumulation_steps": 5}}
"""The optimizer with the most state: at the end of a phase, two batches are accumulated."""
UNFREEZING = Unfreezing(3, ("conv2d", "batch_normalization"), 0.5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A plan of four epochs, the first two with a frozen body, its data, and the outcome and events of the training."""
    folder = tmp_path_factory.mktemp("phases")
    small.write_data(folder)
    callbacks = [{"EarlyStopping": {"patience": 4, "restore_best_weights": True}}]
    plan = small.plan(folder, epochs=4, optimizer=SCHEDULED, callbacks=callbacks)
    plan = replace(plan, unfreezing=UNFREEZING)
    events = []
    small.run(plan, folder / "whole", report=events.append, threads=1)
    return plan, folder, small.outcome(folder / "whole"), events


def test_each_phase_is_reported_when_it_begins(whole):
    _, _, outcome, events = whole
    shown = [event for event in events if isinstance(event, PhaseBegins | EpochDone)]
    assert [event if isinstance(event, PhaseBegins) else event.figures["epoch"] for event in shown] == [
        *(PhaseBegins(1, 2, 56, 98, 1.0), 1, 2),
        *(PhaseBegins(3, 4, 92, 98, 0.5), 3, 4),
    ]
    rates = [line["learning_rate"] for line in outcome["epochs"]]
    cosine = [0.01 * (0.5 + 0.5 * np.cos(np.pi * epoch / 4)) for epoch in (1, 2, 3, 4)]
    np.testing.assert_allclose(rates, np.multiply(cosine, [1, 1, 0.5, 0.5]), atol=1e-12)


def test_a_frozen_layer_stays_until_it_is_unfrozen(whole, tmp_path):
    plan, *_ = whole
    initial, frozen, after = (tmp_path / name for name in ("initial", "frozen", "after"))
    for run, epochs in ((initial, 0), (frozen, 2), (after, 3)):
        small.run(replace(plan, fit=plan.fit.replace(epochs=epochs)), run)
    start, still, moved = (checkpoint.load(run / "last.safetensors").weights for run in (initial, frozen, after))
    for name, weight in start.items():
        assert np.array_equal(weight, still[name]) == (not name.startswith("dense")), name
        assert not np.array_equal(weight, moved[name])


@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (2, 6), (3, 1), (3, 5)])
@pytest.mark.parametrize("threads", [1, 3])
def test_an_interrupted_training_goes_on_to_the_same_bits(whole, tmp_path, epoch, batch, threads):
    """In a phase, after the last batch of one (while it is validated), and after the first batch of the next."""
    plan, _, outcome, _ = whole
    small.interrupt(plan, tmp_path / "run", epoch=epoch, batch=batch)
    small.run(plan, resume=tmp_path / "run", threads=threads)
    assert small.outcome(tmp_path / "run") == outcome


def test_a_training_may_be_resumed_between_phases(whole, tmp_path):
    """The run ended with the first phase, and is trained on."""
    plan, _, outcome, _ = whole

    def report(event):
        if isinstance(event, EpochDone) and event.figures["epoch"] == 2:
            raise InterruptedRun("killed", 9)

    with pytest.raises(InterruptedRun):
        small.run(plan, tmp_path / "run", report=report)
    small.run(plan, resume=tmp_path / "run")
    assert small.outcome(tmp_path / "run") == outcome


def test_changed_data_at_a_border_leave_a_run_that_resumes(whole, tmp_path, monkeypatch):
    plan, _, outcome, _ = whole

    def fill(feed, rows, step=0):
        if step == 2 * small.BATCHES + 1:
            raise ChangedDataError("changed")
        return filled(feed, rows, step)

    filled = Feed.fill
    with monkeypatch.context() as patched:
        patched.setattr(Feed, "fill", fill)
        with pytest.raises(CnncliError, match="changed"):
            small.run(plan, tmp_path / "run")
    small.run(plan, resume=tmp_path / "run")
    assert small.outcome(tmp_path / "run") == outcome
