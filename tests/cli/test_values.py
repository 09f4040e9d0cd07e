"""`targets: values`: a regression from its pictures to its residuals."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_train import cnncli

SIDE = 24
SPEC = """\
name: regression
data: {data, targets: values, validation_split: 0.2}
model:
  layers:
    - Conv2D: {filters: 16, kernel_size: 3, padding: same, activation: relu}
    - MaxPooling2D
    - Conv2D: {filters: 32, kernel_size: 3, padding: same, activation: relu}
    - MaxPooling2D
    - Flatten
    - Dense: {units: 64, activation: relu}
    - Dense: {units: UNITS}
compile: {optimizer: adam, loss: LOSS, metrics: [mae, RootMeanSquaredError, R2Score]}
fit: {epochs: 12, batch_size: 16}
"""


def grid():
    return np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2


def picture(shape, random):
    return (random.uniform(0, 40, (SIDE, SIDE)) + np.where(shape, 200, 0)).astype(np.uint8)


def disc(random):
    """A disc, and its radius and how far right it is."""
    y, x = grid()
    radius, right = random.uniform(3, 10), random.uniform(-4, 4)
    return picture(y**2 + (x - right) ** 2 < radius**2, random), [radius, right]


def bar(random):
    """A bar through the middle, and its angle from the vertical: between −1 and 1 (60°)."""
    y, x = grid()
    angle = random.uniform(-1, 1)
    turned = np.radians(60 * angle)
    return picture(abs(x * np.cos(turned) + y * np.sin(turned)) < 2, random), [angle]


def drawn(draw, count):
    random = np.random.default_rng(1)
    images, values = zip(*(draw(random) for _ in range(count)), strict=True)
    return np.stack(images), np.array(values)


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    """A folder with discs, of which a table tells two values, and a run trained on it by the spec that init writes."""
    path = tmp_path_factory.mktemp("discs")
    (path / "discs").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNCLI_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        images, values = drawn(disc, 360)
        rows = ["file,radius,right"]
        for number, (image, row) in enumerate(zip(images, values, strict=True)):
            Image.fromarray(image).save(path / "discs" / f"{number:03}.png")
            rows.append(f"{number:03}.png,{row[0]:.3f},{row[1]:.3f}")
        (path / "discs/labels.csv").write_text("\n".join(rows))
        said = cnncli(path, "init", "--data", "discs")
        assert (said.returncode, said.stderr) == (0, "")
        assert said.stdout.startswith("discs: 360 images, 2 values each: radius, right\n")
        done = cnncli(path, "train", "discs.yaml", "--epochs", 12, "--output", "run")
        assert done.returncode == 0, done.stderr
        yield path


def test_the_spec_of_init_learns_sizes_and_places_of_discs(discs):
    document = json.loads(cnncli(discs, "evaluate", "run", "--json").stdout)
    assert [row["name"] for row in document["values"]] == ["radius", "right"]
    assert all(row["r2_score"] > 0.8 for row in document["values"])
    assert np.mean([row["r2_score"] for row in document["values"]]) == pytest.approx(document["r2_score"])
    assert (document["classes"], document["confusion"], document["misclassified"]) == ([], None, None)
    text = cnncli(discs, "evaluate", "run").stdout
    assert "mean absolute error   root mean squared error" in text
    assert text.endswith("residuals      run/residuals.csv, the greatest error first\n")


def test_residuals_are_those_of_the_predictions_the_greatest_first(discs):
    document = json.loads(cnncli(discs, "evaluate", "run", "--json").stdout)
    with (discs / "run/residuals.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == document["samples"] == 54
    told = {}
    with (discs / "discs/labels.csv").open() as file:
        told = {row["file"]: row for row in csv.DictReader(file)}
    files = [f"discs/{row['file']}" for row in rows]
    found = json.loads(cnncli(discs, "predict", "run", *files, "--json").stdout)["predictions"]
    errors = []
    for row, prediction in zip(rows, found, strict=True):
        for value, name in zip(prediction["values"], ("radius", "right"), strict=True):
            assert float(row[f"{name} target"]) == pytest.approx(float(told[row["file"]][name]))
            assert float(row[f"{name} predicted"]) == pytest.approx(value, rel=1e-5, abs=1e-5)
            assert float(row[f"{name} error"]) == pytest.approx(value - float(told[row["file"]][name]), abs=1e-4)
        errors.append([abs(float(row[f"{name} error"])) for name in ("radius", "right")])
    means = np.mean(errors, axis=0)
    assert means == pytest.approx([row["mean_absolute_error"] for row in document["values"]], rel=1e-4)
    greatest = np.max(errors / means, axis=1)
    assert (np.diff(greatest) < 1e-4).all()


def test_predictions_go_by_the_names_of_the_columns(discs):
    line = cnncli(discs, "predict", "run", "discs/000.png").stdout
    assert [pair.split(" ")[0] for pair in line.rstrip("\n").split("\t")[1].split("  ")] == ["radius", "right"]
    assert json.loads(cnncli(discs, "predict", "run", "discs/000.png", "--json").stdout)["classes"] == [
        "radius",
        "right",
    ]


def test_other_data_need_the_same_columns(discs):
    (discs / "other").mkdir()
    Image.fromarray(drawn(disc, 1)[0][0]).save(discs / "other/a.png")
    (discs / "other/labels.csv").write_text("file,radius,right\na.png,5,1\n")
    document = json.loads(cnncli(discs, "evaluate", "run", "--data", "other", "--json").stdout)
    assert document["samples"] == 1
    (discs / "other/labels.csv").write_text("file,radius,left\na.png,5,1\n")
    done = cnncli(discs, "evaluate", "run", "--data", "other")
    assert done.returncode == 1
    assert "the values must be those that the model was trained on, radius, right; received radius, left" in done.stderr


@pytest.mark.parametrize("loss", ["mse", "mae"])
def test_an_array_of_angles_is_learned(tmp_path, loss):
    x, y = drawn(bar, 400)
    np.savez(tmp_path / "bars.npz", x_train=x[:320], y_train=y[:320, 0], x_test=x[320:], y_test=y[320:, 0])
    spec = SPEC.replace("data,", "dataset: bars.npz,").replace("UNITS", "1").replace("LOSS", loss)
    (tmp_path / "bars.yaml").write_text(spec)
    done = cnncli(tmp_path, "train", "bars.yaml", "--json")
    assert done.returncode == 0, done.stderr
    end = json.loads(done.stdout.splitlines()[-1])["test"]
    assert end["r2_score"] > 0.8
    assert end["loss"] == pytest.approx(
        end["mean_absolute_error"] if loss == "mae" else end["root_mean_squared_error"] ** 2, rel=1e-5
    )


def test_the_number_of_outputs_must_be_that_of_the_values(tmp_path):
    x, y = drawn(disc, 10)
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y)
    spec = SPEC.replace("data,", "dataset: own.npz,").replace("UNITS", "1").replace("LOSS", "mse")
    (tmp_path / "own.yaml").write_text(spec)
    done = cnncli(tmp_path, "check", "own.yaml")
    assert "own.yaml:11:7: the data has 2 values per image, but the last layer has 1 output\n" in done.stderr


def test_init_for_arrays_of_numbers_writes_a_regression(tmp_path):
    x, y = drawn(bar, 60)
    np.savez(tmp_path / "bars.npz", x_train=x, y_train=y)
    done = cnncli(tmp_path, "init", "--data", "bars.npz")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("bars.npz: 60 images, 1 value each\n")
    trained = cnncli(tmp_path, "train", "bars.yaml", "--epochs", 1, "--json")
    assert trained.returncode == 0, trained.stderr


def test_classes_that_look_like_numbers_are_answered_with_a_hint(discs):
    lines = [line.rsplit(",", 1)[0] for line in (discs / "discs/labels.csv").read_text().splitlines()[1:]]
    (discs / "one").mkdir()
    for line in lines:
        name = line.split(",")[0]
        (discs / "one" / name).write_bytes((discs / "discs" / name).read_bytes())
    (discs / "one/labels.csv").write_text("\n".join(["file,label", *lines]))
    spec = "data: {dataset: one, validation_split: 0.2}\n" + SPEC.partition("\n")[2].partition("\n")[2]
    (discs / "one.yaml").write_text(spec.replace("UNITS", "9").replace("LOSS", "mse"))
    done = cnncli(discs, "check", "one.yaml")
    assert "classes are numbers: `targets: values` under `data` predicts them as such)" in done.stderr
