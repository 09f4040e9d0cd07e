"""Test data without labels beside labelled training data: trained without them, and said to be for `predict`."""

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.describe import describe
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError
from tests.cli.test_train import cnncli
from tests.datasets.test_layouts import CLASSES, SPEC, drawing, drawings, rows, samples, trained, write
from tests.datasets.test_names import named


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


def told(name):
    return f"'{name}' is left out, because it has no classes: predict its images with `cnncli predict`"


def pictures(folder, count=10):
    """A flat folder of pictures whose names tell nothing."""
    generator = np.random.default_rng(9)
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(drawing(i % 2, generator)).save(folder / f"{i + 1}.png")


@pytest.mark.parametrize("name", ["test", "Testing", "test1", "test/test", "test/images"])
def test_a_flat_test_folder_beside_classes_is_left_out_and_named(tmp_path, name):
    drawings(tmp_path / "own/train", 30)
    pictures(tmp_path / "own" / name)
    outer = name.split("/")[0]
    said = trained(tmp_path, "own", "validation_split: 0.1, test_split: 0.2")
    assert f"notice: {tmp_path}/own: {told(outer)}\n" in said
    assert f"  {told(outer)}\n" in cnncli(tmp_path, "datasets", "check", "own").stdout
    assert cnncli(tmp_path, "init", "--data", "own", "-o", "new.yaml").returncode == 0
    assert f"  # {told(outer)}\n" in (tmp_path / "new.yaml").read_text()


def test_a_flat_test_folder_beside_a_table_or_named_images_is_left_out_too(tmp_path):
    drawings(tmp_path / "listed/train", 5)
    lines = [f"train/{name}/{i:03}.png,{name}\n" for name in CLASSES for i in range(5)]
    (tmp_path / "listed/labels.csv").write_text("file,label\n" + "".join(lines))
    pictures(tmp_path / "listed/test")
    named(tmp_path / "named/train", "{}.{}", 5)
    pictures(tmp_path / "named/test1")
    named(tmp_path / "same/train", "{}.{}", 5)
    pictures(tmp_path / "same/test")
    for place, folder in (("listed", "test"), ("named", "test1"), ("same", "test")):
        key = {} if place == "listed" else {"label_from": r"(\w+)\.\d+"}
        found = load(DataSection(dataset=place, **key), tmp_path)
        assert (found.sizes, list(found.notes)) == ({"train": 10}, [told(folder)])
    assert cnncli(tmp_path, "init", "--data", "named").returncode == 0
    (tmp_path / "listed/labels.csv").write_text("file,label\n" + "".join(lines) + "test/1.png,disk\n")
    found = load(DataSection(dataset="listed"), tmp_path)
    assert (found.sizes, list(found.notes)) == ({"train": 10, "test": 1}, [])


def test_a_flat_test_folder_is_used_where_no_labels_are_needed(tmp_path):
    pictures(tmp_path / "own/train", 4)
    pictures(tmp_path / "own/test", 3)
    assert samples(tmp_path / "own", targets="input") == {"train": 4, "test": 3}


@pytest.mark.parametrize("header", [True, False])
def test_a_table_of_pixels_without_classes_beside_one_with_them_is_left_out_and_named(tmp_path, header):
    names = [["label", *(f"pixel{i}" for i in range(144))]] if header else []
    (tmp_path / "own").mkdir()
    write(tmp_path / "own/train.csv", [*names, *rows(40)])
    write(tmp_path / "own/test.csv", [*(line[1:] for line in names), *(pixels for _, *pixels in rows(5, seed=1))])
    assert describe(DataSection(dataset="own"), tmp_path).samples == {"train": 80}
    text = SPEC.replace("image_size: [12, 12], ", "")
    (tmp_path / "own.yaml").write_text(text.format(dataset="own", data="test_split: 0.2", units=2))
    done = cnncli(tmp_path, "train", "own.yaml", "--output", "run")
    assert done.returncode == 0, done.stderr
    assert f"notice: {tmp_path}/own: {told('test.csv')}\n" in done.stderr
    assert f"  {told('test.csv')}\n" in cnncli(tmp_path, "init", "--data", "own", "-o", "new.yaml").stdout


def test_a_test_table_of_other_pixels_is_an_error_as_before(tmp_path):
    write(tmp_path / "train.csv", [["label", "a", "b", "c", "d"], *([i % 2, 1, 2, 3, 4] for i in range(4))])
    write(tmp_path / "test.csv", [["a", "b"], [1, 2]])
    with pytest.raises(CnncliError, match=r"test.csv: one column must be named label, class, target or y"):
        describe(DataSection(dataset="train.csv"), tmp_path)


@pytest.mark.parametrize("name", ["test", "Testing"])
def test_images_of_a_test_alone_are_not_trained_on(tmp_path, name):
    pictures(tmp_path / "own" / name)
    said = f"  .: the images of {name} have no classes, and there are no others; `cnncli predict` needs none\n"
    for command in ("init --data own", "datasets check own"):
        done = cnncli(tmp_path, *command.split())
        assert said in done.stdout + done.stderr
        assert done.returncode
