"""What a training suggests to do next, and the samples that come along."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.files import shipped
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.report.terminal.next_commands import next_commands
from cnncli.spec.spec import parse
from tests.cli.test_folders import noise
from tests.cli.test_train import SPEC, cnncli
from tests.training import small

DIGITS = """\
name: digits
data: {dataset: mnist5k}
model:
  layers:
    - MaxPooling2D: {pool_size: 4}
    - Flatten
    - Dense: {units: 10, activation: softmax}
compile: {optimizer: {Adam: {learning_rate: 0.02}}, loss: categorical_crossentropy}
fit: {epochs: 2, batch_size: 100}
"""


def following(done):
    """The commands of the last line of a training."""
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("next  ")
    return last.removeprefix("next  ").split(" · ")


def test_the_samples_are_the_first_test_digits_of_each_class():
    test = load(DataSection(dataset="mnist5k"), Path()).test
    assert sorted(path.name for path in (shipped("data") / "samples").iterdir()) == [f"{i}.png" for i in range(10)]
    for number in range(10):
        image = np.asarray(Image.open(shipped("data") / "samples" / f"{number}.png"))
        assert image.tolist() == test.x[np.flatnonzero(test.y == number)[0], ..., 0].tolist()


def test_after_the_embedded_digits_the_samples_are_predicted_from_wherever_one_is(tmp_path):
    (tmp_path / "digits.yaml").write_text(DIGITS)
    evaluate, predict, report = following(cnncli(tmp_path, "train", "digits.yaml"))
    assert evaluate == "cnncli evaluate"
    assert report == "cnncli report"
    assert predict == f"cnncli predict runs/digits/latest {shipped('data')}/samples/"
    done = cnncli(tmp_path, *predict.split()[1:])
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 10)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "samples").symlink_to(shipped("data") / "samples")
    _, predict, report = following(cnncli(tmp_path, "train", "digits.yaml", "--output", "my own"))
    assert predict == "cnncli predict 'my own' data/samples/"
    assert cnncli(tmp_path, *report.split()[1:]).returncode == 0


def test_after_other_data_the_images_are_ones_own(tmp_path):
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC)
    assert following(cnncli(tmp_path, "train", "bars.yaml"))[1] == "cnncli predict runs/bars/latest IMAGE…"
    first = next(path for path in (tmp_path / "runs/bars").iterdir() if not path.is_symlink())
    assert cnncli(tmp_path, "train", "bars.yaml").returncode == 0
    resumed = cnncli(tmp_path, "train", "--resume", first, "--epochs", 3)
    model = f"runs/bars/{first.name}"
    assert following(resumed) == [
        f"cnncli evaluate {model}",
        f"cnncli predict {model} IMAGE…",
        f"cnncli report {model}",
    ]


AUTO_ENCODER = """\
data: {dataset: mnist5k, targets: input}
model:
  layers:
    - Conv2D: {filters: 1, kernel_size: 3, padding: same, activation: sigmoid}
compile: {optimizer: adam, loss: mse}
fit: {epochs: 1}
"""


def test_an_auto_encoder_of_the_digits_is_shown_ones_own_images():
    assert next_commands(parse(AUTO_ENCODER, "a.yaml").data, "a")[1] == "cnncli predict a IMAGE…"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


FOLDER = """
name: photos
data: {dataset: photos/, image_size: [10, 12], crop_to_aspect_ratio: true, test_split: 0.25}
model:
  layers:
    - GlobalAveragePooling2D
    - Dense: {units: 3, activation: softmax}
compile: {optimizer: {Adam: {learning_rate: 0.1}}, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 20, batch_size: 6}
expect: {test_accuracy: "== 1"}
"""


@pytest.mark.usefixtures("cache")
def test_pictures_are_prepared_as_those_of_training_and_classes_have_their_names(tmp_path):
    noise(tmp_path / "photos")
    (tmp_path / "photos.yaml").write_text(FOLDER)
    following(cnncli(tmp_path, "train", "photos.yaml"))
    done = cnncli(tmp_path, "predict", "photos.yaml", "photos")
    assert done.returncode == 0
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 36
    assert all(Path(file).parent.name == predicted for file, predicted, _ in rows)
    wide = np.zeros((10, 60, 3), np.uint8)
    wide[..., 2] = 180  # blue, but for the middle, which is all that is left when it is cropped
    wide[:, 24:36] = (180, 30, 30)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert cnncli(tmp_path, "predict", "photos.yaml", "wide.png").stdout.startswith("wide.png\tred\t")
