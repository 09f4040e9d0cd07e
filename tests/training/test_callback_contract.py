"""The contract of every registered callback: at work in a training, it goes on after an interruption as if none was."""

import inspect
import json

import pytest

from cnncli.errors import InterruptedRun
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.reader import read
from cnncli.spec.yaml.tree import plain
from cnncli.spec.yaml.writer import to_yaml
from cnncli.training.callbacks.vocabulary import CALLBACKS
from cnncli.training.loggers.logger import Logger
from cnncli.training.runs import checkpoint
from tests.training import small
from tests.training.small import BATCHES, interrupter, outcome

ACTIVE = {
    "EarlyStopping": {"monitor": "loss", "min_delta": 100.0, "patience": 2, "restore_best_weights": True},
    "ReduceLROnPlateau": {"monitor": "loss", "min_delta": 100.0, "patience": 1, "factor": 0.5},
    "ModelCheckpoint": {"filepath": "kept/{epoch}-{batch}-{loss:.3f}.safetensors", "save_freq": 4, "max_to_keep": 3},
    "LearningRateScheduler": {"schedule": {2: 0.01, 4: 0.001}},
    "TerminateOnNaN": {},
    "SwapEMAWeights": {},
}
"""Arguments with which each does something in a training of five epochs, and needs what it remembered for it."""
ALWAYS_DONE = ("TerminateOnNaN", "SwapEMAWeights")
"""Those that change nothing, because every training does what they do."""
EPOCHS = 5
EVERY = pytest.mark.parametrize(
    "name", [name for name, cls in CALLBACKS.classes.items() if not issubclass(cls, Logger)]
)
"""Loggers under Keras' names only listen: tests/training/loggers."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    small.write_data(folder)
    small.run(small.plan(folder, epochs=EPOCHS, callbacks=[]), folder / "plain")
    return folder


def active(name):
    """The callback in a form that acts."""
    if name not in ACTIVE:
        pytest.fail(f"the callback {name} is not tested: say in ACTIVE with which arguments it acts", pytrace=False)
    return CALLBACKS.parse({name: ACTIVE[name]})


def models(run):
    """The contents of all model files by name."""
    return {str(file.relative_to(run)): file.read_bytes() for file in run.rglob("*.safetensors")}


def effect(run):
    """The digests of the weights in all model files, and the metrics."""
    digests = {name: checkpoint.load(run / name).digest for name in models(run)}
    return digests, outcome(run)["epochs"]


@EVERY
def test_its_state_survives_a_checkpoint(data, tmp_path, name):
    plan = small.plan(data, epochs=EPOCHS, callbacks=[active(name)])
    small.run(plan, tmp_path / "whole")
    changed = effect(tmp_path / "whole") != effect(data / "plain")
    assert changed == (name not in ALWAYS_DONE), "it must have done something, unless that is always done"
    if not changed:
        return  # its state is that of no callback
    batches = BATCHES * len(outcome(tmp_path / "whole")["epochs"])
    for after in (1, BATCHES, BATCHES + 1, 2 * BATCHES, 2 * BATCHES + 3):
        assert after < batches
        run = tmp_path / f"interrupted-{after}"
        with pytest.raises(InterruptedRun):
            small.run(plan, run, report=interrupter(after))
        small.run(plan, resume=run)
        assert outcome(run) == outcome(tmp_path / "whole"), after
        assert models(run) == models(tmp_path / "whole"), after


@EVERY
def test_what_it_remembers_at_first_is_what_json_can_hold(name):
    hooks = active(name).hooks({})
    assert json.loads(json.dumps(hooks.state)) == hooks.state
    assert hooks.chosen_epoch is None


@EVERY
def test_it_is_documented_and_survives_being_written_as_yaml_and_read(name):
    cls = CALLBACKS.classes[name]
    assert inspect.getdoc(cls)
    assert cls.__doc__ is not None, "the docstring must be its own, not inherited"
    callback, problems = active(name), Problems("callback.yaml", "")
    tree = read(to_yaml({name: callback.plain()}), problems)
    assert not problems
    assert CALLBACKS.parse(plain(tree)) == callback
