"""Weights of images: where they are found, and what is wrong with them."""

from dataclasses import replace

import numpy as np
import pytest

from cnncli.datasets.images import input_tables
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError, DeclarationError, SpecError
from cnncli.spec.spec import parse
from cnncli.training import class_weight
from cnncli.training.sections import FitSection
from tests.datasets.photos import table
from tests.datasets.test_array_layouts import saved
from tests.training import small

X, Y = np.zeros((6, 4, 4), np.uint8), np.array([0, 1, 0, 1, 0, 1])
WEIGHTS = np.array([0.5, 1, 2, 0, 3, 1.25])


def of(path, **options):
    """The weights of each split's own rows."""
    data = load(DataSection(dataset=str(path), **options), path.parent)
    return {
        name: split.weights[split.numbers].tolist() for name, split in data.splits.items() if split.weights is not None
    }


def archive(folder, **arrays):
    np.savez(folder / "own.npz", x_train=X, y_train=Y, **arrays)
    return folder / "own.npz"


def message(path, **options):
    with pytest.raises(CnncliError) as caught:
        of(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{path.parent}/", "")


@pytest.mark.parametrize("ending", [".npz", ".npy", ".h5"])
@pytest.mark.parametrize("name", ["sample_weight_train", "sample_weight", "sample_weights", "train/sample_weight"])
def test_arrays_of_these_names_are_weights(tmp_path, name, ending):
    if ending == ".npy":
        name = name.replace("/", "_")
    held = {"x_train": X, "y_train": Y, name: WEIGHTS, "x_val": X, "y_val": Y, "val_sample_weight": WEIGHTS[:, None]}
    path = saved(tmp_path / "own", ending, held)
    assert of(path) == {"train": WEIGHTS.tolist(), "validation": WEIGHTS.tolist()}
    assert of(path, sample_weight=None) == {}


@pytest.mark.parametrize("ending", [".npz", ".npy", ".h5"])
def test_sample_weight_names_another_array(tmp_path, ending):
    path = saved(tmp_path / "own", ending, {"x_train": X, "y_train": Y, "w": np.arange(6)})
    assert of(path) == {}
    assert of(path, sample_weight="w") == {"train": [0, 1, 2, 3, 4, 5]}
    assert "sample_weight must name an array of " in message(path, sample_weight="v")


def test_validation_takes_its_weights_from_the_rows_that_it_takes(tmp_path):
    path = archive(tmp_path, sample_weight=WEIGHTS)
    assert of(path, validation_split=0.4) == {"train": [0.5, 1, 2], "validation": [0, 3, 1.25]}
    made = load(DataSection(dataset=str(path), validation_split=0.4, stratified=True), tmp_path).splits
    for split in made.values():
        np.testing.assert_array_equal(split.weights, WEIGHTS)
    assert sorted(made["train"].numbers.tolist() + made["validation"].numbers.tolist()) == list(range(6))


def test_other_weights_are_other_data(tmp_path):
    digests = set()
    for weights in ({}, {"sample_weight": WEIGHTS}, {"sample_weight": WEIGHTS + 1}):
        digests.add(load(DataSection(dataset=str(archive(tmp_path, **weights))), tmp_path).digest)
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (WEIGHTS[:4], "sample_weight must hold a number for each of the 6 images of x_train; it is float64 (4,)"),
        (np.ones((6, 2)), "sample_weight must hold a number for each of the 6 images of x_train; it is float64 (6, 2)"),
        (WEIGHTS - 1, "sample_weight must hold weights ≥ 0; row 0 has -0.5"),
        (np.where(WEIGHTS == 2, np.nan, WEIGHTS), "sample_weight must hold finite float32 numbers; row 2 has nan"),
        (WEIGHTS * 1e300, "sample_weight must hold finite float32 numbers; row 0 has inf"),
        (WEIGHTS.astype(str), "sample_weight must hold numbers; it holds dtype '<U32', which is not supported"),
    ],
)
def test_wrong_weights_are_one_line(tmp_path, weights, said):
    assert message(archive(tmp_path, sample_weight=weights)) == f"own.npz: {said}"


def test_pixels_of_masks_have_weights_of_their_own(tmp_path):
    masks = np.arange(96).reshape(6, 4, 4) % 2
    weights = np.random.default_rng(0).random((6, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "own.npz", x_train=X, y_train=masks, sample_weight=weights[..., None])
    assert of(tmp_path / "own.npz", targets="masks") == {"train": weights.tolist()}
    said = "sample_weight must hold a number for each of the 6 images of x_train; it is float32 (6, 4, 4, 1)"
    assert message(tmp_path / "own.npz") == f"own.npz: {said}"
    for wrong, rule in ((weights[:, :3], "images of x_train or of their pixels; it is"), (weights - 1, "weights ≥ 0")):
        np.savez(tmp_path / "own.npz", x_train=X, y_train=masks, sample_weight=wrong)
        assert rule in message(tmp_path / "own.npz", targets="masks")
    np.savez(
        tmp_path / "own.npz",
        **{"x_train": X, "y_train": masks, "sample_weight": weights},
        **{"x_val": X, "y_val": masks, "sample_weight_val": WEIGHTS},
    )
    assert "weights must be those of images, or those of pixels, in all splits" in message(
        tmp_path / "own.npz", targets="masks"
    )


def test_weights_of_images_that_are_not_there_are_refused(tmp_path):
    path = archive(tmp_path, sample_weight_val=WEIGHTS)
    assert message(path) == "own.npz: sample_weight_val is for validation images, of which there are none"


SPEC = """
data: {dataset: own.npz}
model: {layers: [Flatten, Dense: {units: 2, activation: softmax}]}
compile: {optimizer: adam, loss: categorical_crossentropy}
fit: {class_weight: balanced}
"""


def test_class_weight_and_sample_weight_are_not_given_together(tmp_path):
    archive(tmp_path, sample_weight=WEIGHTS)
    with pytest.raises(
        SpecError, match=r"own.yaml:5:21: class_weight must be omitted where images have a sample_weight"
    ):
        parse(SPEC, str(tmp_path / "own.yaml"))
    made = parse(SPEC.replace("npz", "npz, sample_weight: null"), str(tmp_path / "own.yaml"))
    assert made.fit.class_weight == class_weight.BALANCED
    with pytest.raises(CnncliError, match=r"own.npz: class_weight must be omitted where images have a sample_weight"):
        class_weight.of_rows("balanced", load(DataSection(dataset="own.npz"), tmp_path))


def test_other_data_have_none():
    with pytest.raises(SpecError, match="sample_weight is only for folders of images and files of arrays"):
        parse(SPEC.replace("own.npz", "mnist5k, sample_weight: w"), "own.yaml")


def test_an_interrupted_run_goes_on_with_the_same_weights_of_images(tmp_path):
    small.write_data(tmp_path)
    held = dict(np.load(tmp_path / "bars.npz"))
    np.savez(tmp_path / "bars.npz", **held, sample_weight=np.random.default_rng(0).random(50))
    plan = replace(small.plan(tmp_path), fit=FitSection(epochs=2, batch_size=8))
    small.run(plan, tmp_path / "whole")
    small.interrupt(plan, tmp_path / "part", epoch=2, batch=3)
    small.run(plan, resume=tmp_path / "part")
    assert small.outcome(tmp_path / "whole") == small.outcome(tmp_path / "part")


def pixels(folder, name, columns, rows):
    """A table of images of 2 × 2 pixels, the others of its columns first."""
    lines = [",".join([*columns, "p0", "p1", "p2", "p3"]), *(f"{row},1,2,3,4" for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def test_a_column_of_a_table_of_pixels_is_weights(tmp_path):
    path = pixels(tmp_path, "own.csv", ("label", "sample_weight"), ["a,0.5", "b,2", "a,0"])
    assert of(path) == {"train": [0.5, 2, 0]}
    data = load(DataSection(dataset=str(path)), tmp_path)
    assert data.train.x.reshape(3, -1).tolist() == [[1, 2, 3, 4]] * 3
    assert data.train.y.tolist() == [0, 1, 0]
    assert "own.csv: sample_weight: weights of the images in the loss" in data.notes[0]


@pytest.mark.parametrize("asked", ["w", 1])
def test_sample_weight_names_a_column(tmp_path, asked):
    path = pixels(tmp_path, "train.csv", ("w", "label"), ["0.5,a", "2,b", "0,a"])
    pixels(tmp_path, "val.csv", ("label",), ["a", "b"])
    if asked == "w":
        assert of(path, sample_weight="w") == {"train": [0.5, 2, 0]}
    (tmp_path / "val.csv").unlink()
    assert of(path, sample_weight=asked) == {"train": [0.5, 2, 0]}
    assert message(path, sample_weight="v") == (
        "sample_weight must be a column of train.csv, w, label, p0, p1, … or 1 to 6; received v"
    )


def test_wrong_weights_of_a_table_are_named_with_their_lines(tmp_path):
    path = pixels(tmp_path, "own.csv", ("label", "sample_weight"), ["a,0.5", "b,-2", "a,", "b,x"])
    with pytest.raises(CnncliError) as caught:
        load(DataSection(dataset=str(path)), tmp_path)
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        "own.csv:3:2: 'sample_weight' must be a number ≥ 0; received '-2'",
        "own.csv:4:2: 'sample_weight' must be a number ≥ 0; it is empty",
        "own.csv:5:2: 'sample_weight' must be a number ≥ 0; received 'x'",
    ]


def test_a_column_of_a_table_of_images_is_weights(tmp_path):
    rows = [f"{name}.png,{kind},{weight}" for name, kind, weight in zip("abcd", "xyxy", (0.5, 2, 0, 1), strict=True)]
    table(tmp_path / "photos", "\n".join(["file,kind,sample_weight", *rows]) + "\n")
    columns = {"columns": {"label": "kind"}}
    assert of(tmp_path / "photos", **columns) == {"train": [0.5, 2, 0, 1]}
    assert of(tmp_path / "photos", sample_weight=None, **columns) == {}
    data = load(DataSection(dataset="photos", **columns), tmp_path)
    assert any("sample_weight: weights of the images in the loss" in note for note in data.notes)
    with pytest.raises(
        DeclarationError, match=r"sample_weight must be a column of a table of the images in .*; received w"
    ):
        load(DataSection(dataset="photos", sample_weight="w", **columns), tmp_path)


def test_numbers_of_images_may_have_weights(tmp_path):
    table(tmp_path / "photos", "file,age,w\na.png,3,0.5\nb.png,4,2\nc.png,5,1\n")
    data = load(DataSection(dataset="photos", targets="values", sample_weight="w"), tmp_path).train
    assert (data.y.tolist(), data.weights.tolist()) == ([[3], [4], [5]], [0.5, 2, 1])


def test_a_table_with_weights_is_predicted(tmp_path):
    path = pixels(tmp_path, "new.csv", ("sample_weight",), ["1", "0"])
    found = input_tables.read(path, (2, 2, 1))
    assert found.images.reshape(2, 4).tolist() == [[1, 2, 3, 4]] * 2
