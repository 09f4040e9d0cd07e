"""`--tta` of `predict` and `evaluate`: what is averaged over views, as commands and as a library."""

import json

import numpy as np
import pytest

import cnncli as library
from tests.cli.test_prediction_kinds import MAP
from tests.cli.test_prediction_kinds import SPEC as KINDS
from tests.cli.test_train import SPEC, cnncli
from tests.training import small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tta")
    small.write_data(path)
    (path / "bars.yaml").write_text(SPEC)
    assert cnncli(path, "train", "bars.yaml", "--output", "run").returncode == 0
    with np.load(path / "bars.npz") as arrays:
        np.save(path / "images.npy", arrays["x_test"])
        np.save(path / "flipped.npy", arrays["x_test"][:, :, ::-1])
    return path


def shares(folder, images, *options):
    done = cnncli(folder, "predict", "run", images, *options, "--json")
    assert done.returncode == 0, done.stderr
    return np.array([one["probabilities"] for one in json.loads(done.stdout)["predictions"]])


def test_predictions_are_the_mean_over_the_views(folder):
    expected = (shares(folder, "images.npy") + shares(folder, "flipped.npy")) / 2
    found = shares(folder, "images.npy", "--tta", "flip")
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (found == shares(folder, "images.npy", "--tta", "flip", "--threads", 1)).all()
    model = library.load(folder / "run")
    images = np.load(folder / "images.npy")
    assert (model.predict(images, tta=["flip"]).probabilities == found.astype(np.float32)).all()
    assert (model.predict(images).probabilities == shares(folder, "images.npy").astype(np.float32)).all()


def test_the_outputs_in_a_file_are_the_means_too(folder):
    assert cnncli(folder, "predict", "run", "images.npy", "--tta", "shift", "--output", "mean.npy").returncode == 0
    np.testing.assert_array_equal(
        np.load(folder / "mean.npy"), shares(folder, "images.npy", "--tta", "shift").astype(np.float32)
    )


def test_an_evaluation_is_that_of_the_means(folder):
    found = json.loads(cnncli(folder, "evaluate", "run", "--tta", "flip,shift", "--json").stdout)
    p = shares(folder, "images.npy", "--tta", "flip,shift")
    with np.load(folder / "bars.npz") as arrays:
        y = arrays["y_test"]
    assert found["views"] == 10
    assert found["accuracy"] == (p.argmax(1) == y).mean()
    assert found["loss"] == pytest.approx(-np.log(p[np.arange(len(y)), y]).mean(), rel=1e-5)
    text = cnncli(folder, "evaluate", "run", "--tta", "flip,shift").stdout
    assert text.splitlines()[0].endswith("(9 samples, mean of 10 views)")
    assert library.load(folder / "run").evaluate(tta="flip,shift").figures["loss"] == found["loss"]
    assert "views" not in json.loads(cnncli(folder, "evaluate", "run", "--json").stdout)


def test_wrong_views_are_one_line(folder, tmp_path):
    for command in (("predict", "run", "images.npy"), ("evaluate", "run")):
        done = cnncli(folder, *command, "--tta", "flip,shfit")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            "error: --tta must name flip, vflip, rot90, shift; received 'shfit'; did you mean 'shift'?\n"
        )
    np.savez(tmp_path / "made.npz", x_train=np.random.default_rng(3).integers(0, 256, (12, 4, 5)).astype(np.uint8))
    layers = MAP.format(units=1, activation="sigmoid")
    spec = KINDS.format(name="encoder", data=", targets: input", layers=layers, loss="mean_squared_error")
    (tmp_path / "spec.yaml").write_text(spec)
    assert cnncli(tmp_path, "train", "spec.yaml", "--output", "run").returncode == 0
    done = cnncli(tmp_path, "evaluate", "run", "--tta", "flip")
    assert (done.returncode, done.stderr) == (
        2,
        "error: --tta averages probabilities; this model's outputs are the image again\n",
    )
