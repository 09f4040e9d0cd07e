"""Data that are not, or no longer, where a run's spec says: found again, others, or none."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.images.decode import Form, decode
from cnncli.training.runs import checkpoint
from tests.cli.test_folders import SPEC, noise
from tests.cli.test_train import cnncli

SHRUNK = SPEC.partition("expect")[0].replace("epochs: 12", "epochs: 2").replace(
    "photos/,", "photos/, image_size: [5, 6], antialias: false,"
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Decoded images go into a folder of the tests'."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNCLI_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A project with pictures, and two runs on them: one of two epochs, one of the first of them."""
    place = tmp_path_factory.mktemp("projects") / "whole"
    noise(place / "photos")
    (place / "photos.yaml").write_text(SHRUNK)
    for name, epochs in (("two", 2), ("one", 1)):
        done = cnncli(place, "train", "photos.yaml", "--epochs", epochs, "--output", name)
        assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def moved(whole, tmp_path):
    """The same project after it was moved."""
    project = tmp_path / "moved"
    shutil.copytree(whole, project)
    for file in project.glob("*/spec.yaml"):
        file.write_text(file.read_text().replace(str(whole), str(tmp_path / "old")))
    return project


def evaluated(folder, *arguments):
    done = cnncli(folder, "evaluate", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    found.pop("model")
    return found


def test_a_run_whose_project_was_moved_is_resumed_to_the_same_bits(moved):
    done = cnncli(moved, "train", "--resume", "one", "--epochs", 2)
    assert (done.returncode, done.stderr) == (
        2,
        f"error: '{moved.parent}/old/photos' is no longer there: `cnncli train --resume one --data SOURCE` says where "
        "the data are now\n",
    )
    done = cnncli(moved, "train", "--resume", "one", "--epochs", 2, "--data", "photos")
    assert done.returncode == 0, done.stderr
    assert (
        checkpoint.load(moved / "one/best.safetensors").digest == checkpoint.load(moved / "two/best.safetensors").digest
    )
    assert f"dataset: {moved}/photos" in (moved / "one/spec.yaml").read_text().replace('"', "")


def test_a_run_is_not_resumed_on_other_data(moved):
    Image.new("RGB", (12, 10), (1, 2, 3)).save(moved / "photos/red/0.png")
    done = cnncli(moved, "train", "--resume", "one", "--epochs", 2, "--data", "photos/")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        f"error: {moved}/photos: the data must be those that the run began with; these are others, or have changed "
        "since",
    )


def test_moved_data_are_divided_as_they_were_and_others_are_all_test_data(whole, tmp_path):
    project = tmp_path / "again"
    shutil.copytree(whole, project)
    before = evaluated(whole, "two")
    assert (before["split"], before["samples"]) == ("test", 9)
    shutil.move(project / "photos", project / "pictures")
    assert evaluated(project, "two", "--data", "pictures") == before
    Image.new("RGB", (30, 20), (250, 0, 0)).save(project / "pictures/red/more.png")
    found = evaluated(project, "two", "--data", "pictures/")
    assert (found["split"], found["samples"]) == ("test", 37)
    shutil.move(project / "pictures", project / "named/test")
    assert evaluated(project, "two", "--data", "named") == found


def test_evaluation_says_where_the_data_were(whole, tmp_path):
    model = checkpoint.load(whole / "two/best.safetensors")
    gone = model.metadata["spec"].replace(str(whole), "/nowhere")
    checkpoint.save(tmp_path / "m.safetensors", checkpoint.ModelFile(model.weights, {**model.metadata, "spec": gone}))
    done = cnncli(tmp_path, "evaluate", "m.safetensors")
    assert (done.returncode, done.stderr) == (
        2,
        "error: '/nowhere/photos' is no longer there: `cnncli evaluate m.safetensors --data SOURCE` says where the "
        "data are now\n",
    )


def test_data_of_another_shape_or_of_other_classes_are_not_downloaded(whole, monkeypatch):
    monkeypatch.setenv("CNNCLI_OFFLINE", "1")  # a download would be told of
    done = cnncli(whole, "evaluate", "two", "--data", "cifar10")
    assert (done.returncode, done.stderr) == (
        1,
        "error: cifar10: images must have the model's shape (5, 6, 3); received (32, 32, 3)\n",
    )
    cnncli(whole, "train", "photos.yaml", "--set", "data.image_size=[32,32]", "--epochs", 0, "--output", "square")
    done = cnncli(whole, "evaluate", "square", "--data", "cifar10")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: cifar10: the classes must be those that the model was trained on, blue, green,"
    )


def test_a_run_of_a_version_that_knew_fewer_options_is_resumed(moved):
    last = moved / "one/last.safetensors"
    saved = checkpoint.load(last)
    spec = json.loads(saved.metadata["spec"])
    del spec["data"]["stratified"], spec["fit"]["class_weight"]
    checkpoint.save(
        last, checkpoint.ModelFile(saved.weights, {**saved.metadata, "spec": json.dumps(spec)}, saved.extra)
    )
    done = cnncli(moved, "train", "--resume", "one", "--epochs", 2, "--data", "photos")
    assert done.returncode == 0, done.stderr


def test_predictions_resize_as_training_did(whole):
    file = whole / "photos/red/0.png"
    forms = {"as-trained": Form(5, 6, antialias=False), "smoothed": Form(5, 6)}
    for name, form in forms.items():
        np.save(whole / f"{name}.npy", decode(file, form))
    done = cnncli(whole, "predict", "two", file, "as-trained.npy", "smoothed.npy", "--json")
    picture, trained, smoothed = (each["probabilities"] for each in json.loads(done.stdout)["predictions"])
    assert picture == trained != smoothed


def test_training_takes_other_data_from_the_command_line(whole, tmp_path):
    noise(tmp_path / "other", count=8)
    done = cnncli(
        whole, "train", "photos.yaml", "--data", tmp_path / "other", "--epochs", 0, "--output", tmp_path / "run"
    )
    assert done.returncode == 0, done.stderr
    assert "12 training, 6 validation, 6 test (other)" in done.stdout
    assert Path(json.loads((tmp_path / "run/splits.json").read_text())["source"]) == tmp_path / "other"


def test_class_numbers_may_be_floats(tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 1)).astype(np.uint8)
    y = np.arange(40) % 3
    (tmp_path / "own.yaml").write_text(
        "data: {dataset: own.npz, validation_split: 0.2}\n"
        "model: {layers: [Flatten, Dense: {units: 3, activation: softmax}]}\n"
        "compile: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy]}\nfit: {epochs: 2}\n"
    )
    digests = []
    for name, labels in (("whole", y), ("floats", y.astype(float)), ("column", y[:, None].astype(np.float32))):
        np.savez(tmp_path / "own.npz", x_train=x, y_train=labels)
        done = cnncli(tmp_path, "train", "own.yaml", "--output", name)
        assert done.returncode == 0, done.stderr
        model = checkpoint.load(tmp_path / name / "best.safetensors")
        digests.append((model.digest, model.metadata["class_names"]))
        assert evaluated(tmp_path, name)["samples"] == 8
    assert digests[0] == digests[1] == digests[2]
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y + 0.5)
    done = cnncli(tmp_path, "train", "own.yaml")
    assert done.returncode == 1
    assert "y_train must hold integer class numbers or rows of the model's output shape (3,)" in done.stderr
