"""`weights` under `model`: a spec whose file is missing or can't be read has a problem at its place."""

import os
import subprocess
import sys

import numpy as np
import pytest

from cnncli.errors import SpecError
from cnncli.spec.spec import parse
from cnncli.training.phases import Unfreezing
from cnncli.training.runs import checkpoint
from tests.cli.test_train import child_environment
from tests.spec.test_mistakes import HEAD

TEXT = HEAD + "model:\n  weights: WEIGHTS\n  layers:\n    - Flatten\n    - Dense: {units: 10, activation: softmax}\n"


def problem(folder, weights):
    with pytest.raises(SpecError) as caught:
        parse(TEXT.replace("WEIGHTS", weights), "f.yaml", base=folder)
    assert caught.value.exit_code == 2
    return caught.value.problems[0].split("\n")[0]


@pytest.mark.parametrize("weights", ["{}", "{{file: {}, by: order}}"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("runs/moon", "there is no run or model file 'FOLDER/runs/moon'; did you mean 'FOLDER/runs/mono'?"),
        (
            "runs/mono",
            "'FOLDER/runs/mono' is no run with a model: it has no best.safetensors and no last.safetensors",
        ),
        ("text.h5", "FOLDER/text.h5: is not a safetensors file"),
        ("pipe.safetensors", "FOLDER/pipe.safetensors: can't be read: it must be a regular file; it is a named pipe"),
    ],
)
def test_a_file_that_does_not_hold_weights_is_said_in_one_line(tmp_path, weights, name, said):
    (tmp_path / "runs" / "mono").mkdir(parents=True)
    (tmp_path / "runs" / "mono" / "spec.yaml").write_text("")
    (tmp_path / "text.h5").write_text("no weights")
    os.mkfifo(tmp_path / "pipe.safetensors")
    text = problem(tmp_path, weights.format(name))
    assert text.partition(": ")[2] == f"weights: {said}".replace("FOLDER", str(tmp_path))


@pytest.mark.parametrize("written", ["runs/mine", "{file: runs/mine, by: name}"])
def test_weights_keep_their_short_form(tmp_path, written):
    """Without the data, as in a run, the file need not exist; its path is absolute, the pairing said if not by name."""
    spec = parse(TEXT.replace("WEIGHTS", written), "f.yaml", base=tmp_path, check_data=False)
    assert spec.resolved()["model"]["weights"] == str(tmp_path / "runs" / "mine")
    by_order = parse(TEXT.replace("WEIGHTS", "{file: a, by: order}"), "f.yaml", base=tmp_path, check_data=False)
    assert by_order.resolved()["model"]["weights"] == {"file": str(tmp_path / "a"), "by": "order"}
    assert parse(by_order.to_yaml(), "f.yaml", check_data=False) == by_order


TUNED = (
    HEAD
    + """fit: {epochs: 3}
model:
  weights: old.safetensors
  fine_tune: {}
  layers:
    - Conv2D: {name: first, filters: 2, kernel_size: 3}
    - BatchNormalization: {name: normalization, scale: false, center: false}
    - Conv2D: {name: second, filters: 2, kernel_size: 3}
    - Flatten
    - Dense: {name: hidden, units: 3}
    - Dense: {name: head, units: 10, activation: softmax}
"""
)
SHAPES = {
    "first": {"kernel": (3, 3, 1, 2), "bias": (2,)},
    "normalization": {"moving_mean": (2,), "moving_variance": (2,)},
    "second": {"kernel": (3, 3, 2, 2), "bias": (2,)},
    "hidden": {"kernel": (1152, 3), "bias": (3,)},
    "head": {"kernel": (3, 10), "bias": (10,)},
}


def tuned(folder, sets=(), **layers):
    """The spec, or the first line of its first problem, where the file has these layers with other shapes."""
    shapes = {f"{layer}/{name}": shape for layer, own in {**SHAPES, **layers}.items() for name, shape in own.items()}
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    checkpoint.save(folder / "old.safetensors", checkpoint.ModelFile(weights, {}))
    try:
        return parse(TUNED, "f.yaml", sets, base=folder)
    except SpecError as error:
        return error.problems[0].split("\n")[0]


@pytest.mark.parametrize(
    ("sets", "layers", "frozen"),
    [
        ([], {}, ("first", "normalization", "second", "hidden")),
        ([], {"head": {"kernel": (3, 7), "bias": (7,)}}, ("first", "normalization", "second", "hidden")),
        ([], {"hidden": {"kernel": (99, 3), "bias": (3,)}, "head": {}}, ("first", "normalization", "second")),
        ([], {"first": {"kernel": (3, 3, 3, 2), "bias": (2,)}}, ("first", "normalization", "second", "hidden")),
        (["model.freeze=[first]"], {}, ("normalization", "second", "hidden")),
    ],
)
def test_fine_tuning_freezes_what_is_loaded_but_the_last_layer(tmp_path, sets, layers, frozen):
    """A layer for other images, classes or features is not loaded: it trains from the beginning."""
    sets = [*sets, "model.fine_tune={freeze_epochs: 2, rate_factor: 0.5}"]
    spec = tuned(tmp_path, sets, **layers)
    assert spec.unfreezing == Unfreezing(3, frozen, 0.5)
    begun = tuned(tmp_path, [*sets, "fit.initial_epoch=4", "fit.epochs=9"], **layers)  # trained first: epoch 5
    assert begun.unfreezing == Unfreezing(7, frozen, 0.5)
    (tmp_path / "old.safetensors").unlink()  # the run's spec says what is frozen
    assert parse(spec.to_yaml(), "f.yaml", check_data=False) == spec


def test_fine_tuning_has_the_defaults_of_fastai_and_pairs_by_order(tmp_path):
    by_order = ["model.weights={file: old.safetensors, by: order}"]
    renamed = {f"x{name}": own for name, own in SHAPES.items()}
    spec = tuned(tmp_path, by_order, **{layer: {} for layer in SHAPES}, **renamed)
    assert spec.unfreezing == Unfreezing(2, ("first", "normalization", "second", "hidden"), 0.1)


def test_fine_tuning_needs_a_file_of_weights(tmp_path):
    (tmp_path / "old.yaml").write_text("")
    assert "fine_tune needs `weights` of a run or model file" in tuned(tmp_path, ["model.weights=old.yaml"])
    spec = parse(TUNED, "f.yaml", ["model.weights=gone"], base=tmp_path, check_data=False)
    assert spec.unfreezing.layers == ("first", "normalization", "second", "hidden")


@pytest.mark.parametrize(
    ("sets", "layers", "said"),
    [
        (["fit.epochs=1"], {}, "fine_tune: freeze_epochs must be less than the epochs, 1; received 1"),
        (
            ["fit.initial_epoch=3", "fit.epochs=5", "model.fine_tune={freeze_epochs: 2}"],
            {},
            "fine_tune: freeze_epochs must be less than the epochs, 2; received 2",
        ),
        (
            ["model.freeze_until=head"],
            {},
            "fine_tune has no layer to freeze: none but the last is loaded and trains",
        ),
        (
            [],
            {layer: {"x": (1,)} for layer in SHAPES},
            "weights: no layer's weights fit: 0 of 5 layers with weights loaded; ",
        ),
    ],
)
def test_fine_tuning_needs_layers_and_epochs(tmp_path, sets, layers, said):
    assert said in tuned(tmp_path, sets, **layers)


def test_the_file_is_read_without_numpy(tmp_path):
    (tmp_path / "tuned.yaml").write_text(TUNED)
    assert tuned(tmp_path).unfreezing is not None
    code = (
        "import sys; from cnncli.spec.spec import load; load(sys.argv[1]); print({'numpy', 'numba'} & {*sys.modules})"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "tuned.yaml")]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
