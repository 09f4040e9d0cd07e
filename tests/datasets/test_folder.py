import os
import random

import pytest

from cnncli.datasets.layouts import class_folders, unlabelled
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Sample
from cnncli.errors import CnncliError
from tests.datasets.photos import SUFFIXES, classes, picture, table


def listed(root):
    return class_folders.read(root, DataSection(dataset=str(root)))


def listed_without_labels(root):
    return unlabelled.read(root, DataSection(dataset=str(root), targets="input"))


def told(problems):
    return [str(problem) for problem in problems]


def test_a_folder_a_class_in_the_order_of_names(tmp_path):
    found = listed(classes(tmp_path, ("dogs", "cats"), 2))
    assert found.classes == ("cats", "dogs")
    assert found.splits == {
        "train": [
            Sample("cats/00.png", (0,)),
            Sample("cats/01.png", (0,)),
            Sample("dogs/00.png", (1,)),
            Sample("dogs/01.png", (1,)),
        ]
    }
    assert not (found.several or found.problems or found.faults)


def test_images_of_every_format_are_found_at_any_depth_and_hidden_files_are_not_looked_at(tmp_path):
    for suffix in (*SUFFIXES, ".JPG"):
        picture(tmp_path / "cats" / "deep" / f"x{suffix}")
    picture(tmp_path / "dogs" / "x.png")
    for name in ("cats/.DS_Store", "cats/Thumbs.db", ".git", "README.md", "dogs/._x.png"):
        (tmp_path / name).write_text("no image")
    found = listed(tmp_path)
    names = ["x.JPG", "x.bmp", "x.gif", "x.jpg", "x.png", "x.webp"]
    assert [sample.file for sample in found.splits["train"]] == [f"cats/deep/{name}" for name in names] + ["dogs/x.png"]
    assert not (found.problems or found.faults)


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Valid"])
def test_train_val_and_test_are_splits_and_never_classes(tmp_path, validation):
    for name, count in (("train", 3), (validation, 1), ("test", 2)):
        classes(tmp_path / name, count=count)
    found = listed(tmp_path)
    assert found.classes == ("cats", "dogs")
    assert {name: len(part) for name, part in found.splits.items()} == {"train": 6, "validation": 2, "test": 4}
    assert found.splits["validation"][1] == Sample(f"{validation}/dogs/00.png", (1,))


def test_a_table_names_files_and_their_classes(tmp_path):
    text = "file,label\nb.png,owl\n\na.png,cat\nsub/../c.png,x\nd.png,cat\n"
    found = listed(table(tmp_path, text))
    assert found.classes == ("cat", "owl")
    assert found.splits == {"train": [Sample("a.png", (0,)), Sample("b.png", (1,)), Sample("d.png", (0,))]}
    assert told(found.problems) == [
        "labels.csv:5: a file must be a path inside the table's folder; received 'sub/../c.png'"
    ]


def test_a_table_of_several_columns_gives_any_number_of_classes_in_the_order_of_its_columns(tmp_path):
    found = listed(table(tmp_path, "\ufefffile,sun,rain\na.png,1,0\nb.png,1,1\nc.png,0,0\n"))
    assert (found.classes, found.several) == (("sun", "rain"), True)
    assert found.splits["train"] == [Sample("a.png", (0,)), Sample("b.png", (0, 1)), Sample("c.png", ())]


def test_a_table_may_lie_in_the_folder_of_each_split_or_name_files_in_them(tmp_path):
    for name in ("train", "test"):
        table(tmp_path / "own" / name, "file,label\na.png,x\nb.png,y\n")
    expected = {
        "train": [Sample("train/a.png", (0,)), Sample("train/b.png", (1,))],
        "test": [Sample("test/a.png", (0,)), Sample("test/b.png", (1,))],
    }
    assert listed(tmp_path / "own").splits == expected
    (tmp_path / "own" / "labels.csv").write_text(
        "file,label\ntest/a.png,x\ntest/b.png,y\ntrain/a.png,x\ntrain/b.png,y\n"
    )
    assert listed(tmp_path / "own").splits == expected


def test_what_is_wrong_with_a_tables_rows_is_told_with_their_lines(tmp_path):
    text = "file,label\na.png\n/etc/passwd,x\nz.png,x\na.png,\na.png,x\na.png,y\nb.png,y\n"
    found = listed(table(tmp_path, text))
    assert told(found.problems) == [
        "labels.csv:2: a row must have 2 values, one per column; received 1",
        "labels.csv:3: a file must be a path inside the table's folder; received '/etc/passwd', an absolute "
        "path outside it",
        "labels.csv:4: there is no file 'z.png' in the table's folder",
        "labels.csv:5: column 'label' must be a class name; it is empty",
        "labels.csv:7: a file must be listed once; 'a.png' is already on line 6",
    ]
    found = listed(table(tmp_path, "file,x,y\na.png,1,yes\nb.png,1,1\n"))
    assert told(found.problems) == ["labels.csv:2: column 'y' must be 0 or 1; received 'yes'"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_spreadsheets_write_is_read(tmp_path, delimiter, encoding):
    table(tmp_path, "")
    rows = (("File", "Label"), ("a.png", "größer, als"), ("b.png", "x"))
    text = "\r\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    found = listed(tmp_path)
    assert (found.classes, found.problems) == (("größer, als", "x"), ())
    assert found.splits == {"train": [Sample("a.png", (0,)), Sample("b.png", (1,))]}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
def test_a_table_in_another_encoding_says_what_to_do(tmp_path, encoding):
    table(tmp_path, "")
    (tmp_path / "labels.csv").write_bytes("file,label\na.png,café\n".encode(encoding))
    with pytest.raises(CnncliError, match=r"a table must be UTF-8 text; received .*: save it as UTF-8$"):
        listed(tmp_path)


def test_names_of_files_are_understood_where_they_mean_one_file(tmp_path):
    root = table(tmp_path / "data", "")
    for name in ("cats/Tom.JPG", "cats/cafe\u0301.png", "a\\b.png", "dogs/Rex.png"):
        picture(root / name)
    (tmp_path / "link").symlink_to(root)
    names = ["CATS\\tom.jpg", "cats\\caf\u00e9.png", "a\\b.png", f"{root}/a.png", f"{tmp_path}/link/b.png"]
    for place in (root, tmp_path / "link"):
        text = "".join(f"{name},{'xy'[i % 2]}\n" for i, name in enumerate(names))
        (root / "labels.csv").write_text(f"file,label\n{text}", encoding="utf-8")
        found = listed(place)
        expected = {"cats/Tom.JPG", "cats/cafe\u0301.png", "a\\b.png", "a.png", "b.png"}
        assert {sample.file for sample in found.splits["train"]} == expected - ({"b.png"} if place == root else set())
    picture(root / "dogs/REX.png")
    rows = ["dogs/rex.png", "cats/tom.JPG", "cats/Tom.JPG", r"C:\photos\a.png", "/elsewhere/a.png", "none.png"]
    (root / "labels.csv").write_text("file,label\n" + "".join(f"{name},x\n" for name in rows))
    elsewhere = "a file must be a path inside the table's folder; received"
    assert told(listed(root).problems) == [
        "labels.csv:2: 'dogs/rex.png' is ambiguous in the table's folder; it matches dogs/REX.png, dogs/Rex.png",
        "labels.csv:4: a file must be listed once; 'cats/Tom.JPG' is already on line 3",
        rf"labels.csv:5: {elsewhere} 'C:\\photos\\a.png', an absolute path outside it",
        f"labels.csv:6: {elsewhere} '/elsewhere/a.png', an absolute path outside it",
        "labels.csv:7: there is no file 'none.png' in the table's folder",
    ]


def test_a_table_none_of_whose_rows_can_be_used_is_not_said_to_be_missing(tmp_path):
    found = listed(table(tmp_path, "file,label\nz.png,x\n"))
    assert told(found.problems) == ["labels.csv:2: there is no file 'z.png' in the table's folder"]
    assert told(found.faults) == ["labels.csv: there must be at least one usable row"]


COMPOSED, APART = "caf\u00e9", "cafe\u0301"


def test_a_class_in_both_forms_of_unicode_is_one(tmp_path):
    for name in (COMPOSED, APART):
        picture(tmp_path / "one" / name / f"{len(name)}.png")
        picture(tmp_path / "two" / ("train" if name == APART else "test") / name / "1.png")
    for root in (tmp_path / "one", tmp_path / "two"):
        for split in ("", "train", "test"):
            if bool(split) == (root.name == "two"):
                picture(root / split / "tea" / "1.png")
        found = listed(root)
        assert (found.classes, found.faults) == ((COMPOSED, "tea"), ())
    rows = f"file,label\na.png,{COMPOSED}\nb.png,{APART}\nc.png,tea\n"
    assert listed(table(tmp_path / "three", rows)).classes == (COMPOSED, "tea")


@pytest.mark.parametrize("header", ["", "name,label", "file", "file,kind", "file;kind", "file,a,a", "file,a,"])
def test_a_table_with_other_columns_says_which_there_must_be(tmp_path, header):
    with pytest.raises(CnncliError, match=r"labels\.csv: the columns must be file and label, or file and one 0/1"):
        listed(table(tmp_path, f"{header}\na.png,1\n"))


def test_without_labels_images_may_lie_anywhere(tmp_path):
    classes(tmp_path, count=1)
    picture(tmp_path / "top.png")
    found = listed_without_labels(tmp_path)
    assert found.splits == {"train": [Sample("cats/00.png"), Sample("dogs/00.png"), Sample("top.png")]}
    assert found.classes == ()


def test_files_that_are_no_images_by_name_are_named_with_the_rule(tmp_path):
    classes(tmp_path)
    picture(tmp_path / "top.png")
    for name in ("cats/x.svg", "cats/notes.txt", "dogs/README", "top.psd", "README.md"):
        (tmp_path / name).write_text("")
    rule = "an image must be PNG, JPEG, BMP, GIF, PNM, WebP, TIFF, AVIF or JPEG 2000; received"
    assert told(listed(tmp_path).problems) == [
        f"cats/notes.txt: {rule} .txt",
        f"cats/x.svg: {rule} .svg",
        f"dogs/README: {rule} a file without an ending",
        "top.png: an image must be in the folder of its class",
        f"top.psd: {rule} .psd",
    ]


def test_a_name_that_is_no_text_is_named_without_harm(tmp_path):
    classes(tmp_path)
    os.link(os.fsencode(tmp_path / "cats" / "00.png"), os.fsencode(tmp_path / "cats") + b"/\xff.png")
    (problem,) = listed(tmp_path).problems
    assert str(problem) == r"'cats/\udcff.png': the name of an image must be printable UTF-8"


def test_empty_classes_and_a_single_class_are_faults(tmp_path):
    classes(tmp_path / "one", ("cats",))
    assert told(listed(tmp_path / "one").unfit) == ["cats: there must be at least two classes; this is the only one"]
    classes(tmp_path / "empty")
    (tmp_path / "empty" / "owls").mkdir()
    assert told(listed(tmp_path / "empty").unfit) == ["owls: a class must have at least one image"]
    (tmp_path / "none").mkdir()
    assert told(listed(tmp_path / "none").faults) == [".: there must be a folder for each class, or a labels.csv"]
    assert told(listed_without_labels(tmp_path / "none").faults) == [
        ".: a folder must have at least one image (PNG, JPEG, BMP, GIF, PNM, WebP, TIFF, AVIF or JPEG 2000)"
    ]


def test_a_class_without_training_images_is_a_fault_that_says_which_and_keeps_nothing_from_being_evaluated(tmp_path):
    classes(tmp_path / "train", ("cats", "dogs"))
    classes(tmp_path / "test", ("cats", "owls"))
    found = listed(tmp_path)
    assert (told(found.untrained), found.faults) == (["train/owls: a class must have at least one training image"], ())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train", "cats"], "train is a split, not a class: all other folders must be splits, too; received 'cats'"),
        (["val", "valid"], "each split must have one folder; received val and valid"),
    ],
)
def test_splits_beside_something_else_or_twice_are_refused(tmp_path, names, message):
    for name in names:
        classes(tmp_path / name)
    with pytest.raises(CnncliError) as caught:
        listed(tmp_path)
    hint = "; if they are classes, set `layout: class_folders` under `data`"
    assert str(caught.value) == f"{tmp_path}: {message}{hint}"


def test_the_file_systems_order_changes_nothing(tmp_path, monkeypatch):
    classes(tmp_path, count=20)
    expected = listed(tmp_path)
    scandir = os.scandir

    class Shuffled:
        def __init__(self, path):
            self.entries = list(scandir(path))
            random.Random(str(path)).shuffle(self.entries)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(os, "scandir", Shuffled)
    assert listed(tmp_path) == expected
