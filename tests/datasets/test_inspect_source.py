"""What `init` sees of data: classes, counts, sizes, colours, files that can't be used."""

import numpy as np
import pytest

from cnncli.datasets.inspect import inspect_source as module
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError, DeclarationError, UsageError
from tests.datasets.photos import classes, picture, table


def inspect_source(source, *progress):
    return module.inspect_source(DataSection(dataset=source), *progress)


def test_a_folder_is_counted_and_measured(tmp_path):
    classes(tmp_path / "photos", ("cats", "dogs"), count=3)
    picture(tmp_path / "photos/cats/large.jpg", size=(90, 70))
    seen = inspect_source(str(tmp_path / "photos"))
    assert (seen.kind, seen.classes, seen.samples) == ("folder", ("cats", "dogs"), {"train": 7})
    assert (seen.counts, seen.sizes) == ({"cats": 4, "dogs": 3}, {(6, 4): 6, (90, 70): 1})
    assert (seen.channels, seen.several, seen.problems, seen.whole) == (3, False, [], True)


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.gif"])
def test_a_picture_without_colours_is_grey_even_where_its_file_could_have_some(tmp_path, name):
    for number, of in enumerate(("a", "b")):
        picture(tmp_path / "grey" / of / name, colour=(40 * number, 40 * number, 40 * number))
    assert inspect_source(str(tmp_path / "grey")).channels == 1
    picture(tmp_path / "grey/b/red.png", colour=(90, 40, 40))
    assert inspect_source(str(tmp_path / "grey")).channels == 3


def test_files_that_can_not_be_used_are_named_and_not_counted(tmp_path):
    classes(tmp_path / "photos", count=3)
    whole = picture(tmp_path / "photos/dogs/whole.jpg", size=(80, 80)).read_bytes()
    (tmp_path / "photos/dogs/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "photos/cats/text.png").write_text("text")
    (tmp_path / "photos/cats/notes.txt").write_text("text")
    seen = inspect_source(str(tmp_path / "photos"))
    assert [problem.file for problem in seen.problems] == ["cats/notes.txt", "cats/text.png", "dogs/cut.jpg"]
    assert (seen.counts, seen.samples) == ({"cats": 3, "dogs": 4}, {"train": 7})


def test_of_a_large_folder_some_headers_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_FILES", 10)
    monkeypatch.setattr(module, "HEADERS", 6)
    classes(tmp_path / "photos", ("a", "b", "c"), count=4)
    told = []
    seen = inspect_source(str(tmp_path / "photos"), lambda done, total: told.append((done, total)))
    assert (seen.looked, seen.whole, sum(seen.sizes.values()), seen.samples) == (6, False, 6, {"train": 12})
    assert told == [(6, 6)]


def test_a_table_of_several_classes_is_told_from_one_of_one(tmp_path):
    table(tmp_path / "one", "file,label\na.png,x\nb.png,y\n")
    table(tmp_path / "several", "file,x,y\na.png,1,1\nb.png,0,0\nc.png,1,0\n")
    assert not inspect_source(str(tmp_path / "one")).several
    seen = inspect_source(str(tmp_path / "several"))
    assert (seen.several, seen.counts) == (True, {"x": 2, "y": 1})


def arrays(folder, y, **more):
    x = np.zeros((len(y), 9, 8), np.uint8)
    np.savez(folder / "own.npz", **({"x_train": x, "y_train": y} | more))
    return inspect_source(str(folder / "own.npz"))


def test_arrays_are_counted_by_their_labels_alone(tmp_path):
    seen = arrays(tmp_path, np.array([0, 0, 2, 0] * 5), x_test=np.zeros((2, 9, 8), np.uint8), y_test=np.array([0, 2]))
    assert (seen.kind, seen.classes, seen.counts) == ("arrays", ("0", "1", "2"), {"0": 15, "1": 0, "2": 5})
    assert (seen.samples, seen.sizes, seen.channels) == ({"train": 20, "test": 2}, {(9, 8): 22}, 1)
    assert (seen.imbalance, seen.ordered, seen.levels) == (3, False, False)


def test_rows_in_the_order_of_their_classes_are_noticed(tmp_path):
    assert arrays(tmp_path, np.repeat([0, 1, 2], 10)).ordered
    assert arrays(tmp_path, np.eye(3)[np.repeat([0, 1, 2], 10)]).ordered
    assert arrays(tmp_path, np.array([0, 1] * 9 + [2, 0])).ordered
    assert not arrays(tmp_path, np.array([0, 1, 2] * 10)).ordered


def test_whole_numbers_in_floating_point_are_class_numbers(tmp_path):
    seen = arrays(tmp_path, np.array([0.0, 1.0, 2.0, 1.0] * 5))
    assert (seen.several, seen.counts) == (False, {"0": 5, "1": 10, "2": 5})
    seen = arrays(tmp_path, np.array([0.0, 1.5] * 5))
    assert (seen.values, seen.classes, seen.keys) == (("0",), (), {"targets": "values"})
    assert arrays(tmp_path, np.full((4, 3), 0.5)).values == ("0", "1", "2")


def test_rows_of_several_classes_are_told_from_one_hot_rows(tmp_path):
    assert not arrays(tmp_path, np.eye(3)).several
    assert arrays(tmp_path, np.ones((4, 3))).several


def test_floats_of_0_to_255_are_noticed(tmp_path):
    y = np.array([0, 1])
    assert arrays(tmp_path, y, x_train=np.full((2, 9, 8), 255, np.float32)).levels
    assert not arrays(tmp_path, y, x_train=np.ones((2, 9, 8), np.float32)).levels


def test_a_table_of_pixels_is_counted_by_class(tmp_path):
    rows = "".join(f"{name},{','.join(map(str, range(12)))}\n" for name in ("cat", "cat", "dog"))
    (tmp_path / "own.csv").write_text("label," + ",".join(f"pixel{i}" for i in range(12)) + "\n" + rows)
    seen = inspect_source(str(tmp_path / "own.csv"))
    assert (seen.kind, seen.counts, seen.sizes, seen.channels) == ("table", {"cat": 2, "dog": 1}, {(2, 2): 3}, 3)


def test_arrays_in_files_of_their_own_are_one_source(tmp_path):
    np.save(tmp_path / "x_train.npy", np.zeros((6, 9, 8, 3), np.uint8))
    np.save(tmp_path / "y_train.npy", np.array([0, 1, 0, 1, 1, 1]))
    seen = inspect_source(str(tmp_path))
    assert (seen.kind, seen.counts, seen.channels) == ("arrays", {"0": 2, "1": 4}, 3)


def test_what_init_can_not_write_a_spec_for_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"y_train must be class labels or numbers, .*; received shape \(2, 2, 2\)"):
        arrays(tmp_path, np.full((2, 2, 2), 0.5))
    np.savez(tmp_path / "test.npz", x_test=np.zeros((2, 9, 8), np.uint8), y_test=np.array([0, 1]))
    with pytest.raises(CnncliError, match="no training images"):
        inspect_source(str(tmp_path / "test.npz"))
    with pytest.raises(DeclarationError, match="unknown dataset 'cifar1'; did you mean 'cifar10'"):
        inspect_source("cifar1")
    for kind in ("images", "masks"):
        picture(tmp_path / "masked" / kind / "1.png")
    with pytest.raises(UsageError, match=r"the masks can't be read: masks/1\.png: a mask must have one class number"):
        inspect_source(str(tmp_path / "masked"))
    picture(tmp_path / "one/cats/1.png")
    with pytest.raises(CnncliError, match="there must be at least two classes"):
        inspect_source(str(tmp_path / "one"))


def test_a_known_dataset_is_described_without_being_here():
    seen = inspect_source("cifar10")
    assert (seen.kind, seen.classes[0], seen.sizes, seen.channels) == ("downloaded", "airplane", {(32, 32): 60_000}, 3)
