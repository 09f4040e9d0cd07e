"""What a checkpoint says of its training is held against the training: whatever can't be is refused, with its rule."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cnncli.errors import CnncliError
from cnncli.training.runs import checkpoint
from tests.training import small


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a run that was interrupted after two of the six batches of its second epoch."""
    folder = tmp_path_factory.mktemp("interrupted")
    small.write_data(folder)
    small.interrupt(small.plan(folder), folder / "run", epoch=2, batch=2)
    return folder


def resumed(data, *, state=(), **changes):
    """What is said when the run is resumed with another state, metadata or tensors; the file is put back."""
    path = data / "run/last.safetensors"
    content, saved = path.read_bytes(), checkpoint.load(path)
    fields = {**json.loads(saved.metadata["state"]), **dict(state)}
    metadata = {**saved.metadata, "state": json.dumps(fields), **changes.pop("metadata", {})}
    changed = {name: change(dict(getattr(saved, name))) for name, change in changes.items()}
    try:
        checkpoint.save(path, replace(saved, metadata=metadata, **changed))
        with pytest.raises(CnncliError) as caught:
            small.run(small.plan(data), resume=data / "run")
    finally:
        path.write_bytes(content)
    assert caught.value.exit_code == 1
    return str(caught.value).removeprefix(f"{path}: ")


STRANGE = "its state is not one of this training: "
KEPT = {"wait": 0, "best": 0.5, "best_epoch": 0}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"epoch": -1}, f"{STRANGE}epoch must be between 0 and 3"),
        ({"epoch": 10**30}, f"{STRANGE}epoch must be between 0 and 3"),
        ({"epoch": "1"}, "state.epoch must be an integer; received '1'"),
        ({"epoch": True}, "state.epoch must be an integer; received True"),
        ({"batch": 7}, f"{STRANGE}batch must be between 0 and 6"),
        ({"batch": -1}, f"{STRANGE}batch must be between 0 and 6"),
        ({"step": 0}, f"{STRANGE}step must be that of its epoch and batch"),
        ({"step": 2.5}, "state.step must be an integer; received 2.5"),
        ({"history": []}, f"{STRANGE}history must have an entry for each epoch"),
        ({"history": [{"epoch": 1}]}, f"{STRANGE}history must have all figures of each epoch"),
        ({"history": [{"loss": "low"}]}, "state.history[0].loss must be a number; received 'low'"),
        ({"best_epoch": 2}, f"{STRANGE}best_epoch must be an epoch that is complete"),
        ({"callbacks": []}, f"{STRANGE}callbacks must have 1 entries"),
        ({"callbacks": [{}]}, f"{STRANGE}callbacks must remember what those of the spec do"),
        ({"callbacks": [{**KEPT, "wait": "x"}]}, f"{STRANGE}callbacks must remember what those of the spec do"),
        ({"callbacks": [{**KEPT, "best_epoch": 5}]}, "the best epoch must be one of the first 1; received 5"),
        ({"stopped_by": 3}, "state.stopped_by must be a string; received 3"),
        ({"rate_factor": "x"}, "state.rate_factor must be a number; received 'x'"),
        ({"more": 1}, "state must have only data, epoch, "),
    ],
)
def test_a_state_that_can_not_be_is_refused_with_its_rule(data, state, said):
    assert resumed(data, state=state).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "state must not be nested so deeply"),
        ("{}", "state must have 'data', which is missing"),
        ("[]", "state must be a mapping; received []"),
        ("", "state must be JSON"),
    ],
)
def test_a_state_that_is_none_is_refused(data, text, said):
    assert resumed(data, metadata={"state": text}) == said


def _without(prefix):
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}


def _as(dtype):
    return lambda tensors: {name: tensor.astype(dtype) for name, tensor in tensors.items()}


def test_tensors_of_another_training_are_refused(data):
    assert resumed(data, extra=_without("optimizer/")) == (
        "the weights must hold every tensor of the model; 'conv2d/kernel' is missing"
    )
    assert resumed(data, extra=_without("callback/")) == (
        "the weights must hold every tensor of the model; 'conv2d/kernel' is missing"
    )
    assert resumed(data, extra=_as(np.float64)).endswith(" must be float32; it is float64")
    assert resumed(data, weights=_as(np.float64)) == ("the weight 'conv2d/kernel' must be float32; it is float64")


@pytest.mark.parametrize(
    "change",
    [
        lambda sums: sums.pop("sums/samples"),
        lambda sums: sums.pop("sums/loss"),
        lambda sums: sums.pop("sums/0/right"),
        lambda sums: sums.update({"sums/samples": np.array([7])}),
        lambda sums: sums.update({"sums/samples": np.zeros(0, np.int64)}),
        lambda sums: sums.update({"sums/loss": np.full(2, np.nan)}),
        lambda sums: sums.update({"sums/loss": np.zeros((2, 3))}),
        lambda sums: sums.update({"sums/0/answers": np.array([0])}),
        lambda sums: sums.update({"sums/0/right": np.zeros((3, 4, 5))}),
    ],
)
def test_sums_that_are_not_those_of_the_batches_are_refused(data, change):
    def changed(tensors):
        change(tensors)
        return tensors

    assert resumed(data, extra=changed) == "the sums must be those of the batches that are done"


def test_the_checkpoint_itself_is_resumed(data):
    """What the others change is right as it is."""
    assert small.run(small.plan(data), resume=data / "run").epoch in (1, 2, 3)
