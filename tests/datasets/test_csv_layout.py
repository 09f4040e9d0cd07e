import subprocess
import sys

import numpy as np
import pytest

from cnncli.datasets.describe import describe
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError, DeclarationError
from tests.cli.test_train import child_environment

PIXELS = np.random.default_rng(1).integers(0, 256, (12, 9))
LABELS = [2, 0, 1, 1, 0, 2, 2, 0, 1, 1, 0, 2]


def text(pixels=PIXELS, labels=LABELS, *, header="label,pixel{}", at=0):
    """A table with the label in column `at`; `header`: what the columns are called, or ""."""
    rows = []
    if header:
        label, _, pixel = header.partition(",")
        rows.append([pixel.format(i) for i in range(len(pixels[0]))])
        rows[0].insert(at, label)
    for row, label in zip(pixels, labels, strict=True):
        cells = [str(value) for value in row]
        cells.insert(at, str(label))
        rows.append(cells)
    return "".join(",".join(row) + "\n" for row in rows)


def made(folder, content, **options):
    (folder / "own.csv").write_text(content)
    return load(DataSection(dataset="own.csv", **options), folder)


def message(folder, content=None, call=load, **options):
    if content is not None:
        (folder / "own.csv").write_text(content)
    with pytest.raises(CnncliError) as caught:
        call(DataSection(**{"dataset": "own.csv"} | options), folder)
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("header", "at"),
    [("label,pixel{}", 0), ("Class,1x{}", 9), ("target,p{}", 4), ("y,{}", 7), ("label,{}", 0), ("", 0)],
)
def test_the_label_is_where_the_header_says_or_first(tmp_path, header, at):
    found = made(tmp_path, text(header=header, at=at))
    assert found.train.x.dtype == np.uint8
    assert np.array_equal(found.train.x.reshape(12, 9), PIXELS)
    assert found.train.x.shape == (12, 3, 3, 1)
    assert found.train.y.tolist() == LABELS
    assert found.classes == ("0", "1", "2")


def test_what_is_described_is_what_is_loaded(tmp_path):
    found = made(tmp_path, text(), validation_split=0.25, test_split=0.25)
    known = describe(DataSection(dataset="own.csv", validation_split=0.25, test_split=0.25), tmp_path)
    assert (known.input_shape, known.classes, known.dtype) == ((3, 3, 1), 3, "uint8")
    assert known.samples == {name: len(split) for name, split in found.splits.items()}


def test_shares_are_taken_of_every_class_by_the_seed(tmp_path):
    (tmp_path / "own.csv").write_text(text())
    section = DataSection(dataset="own.csv", validation_split=0.25, test_split=0.25)
    first, again, other = (load(section, tmp_path, seed=seed) for seed in (1, 1, 2))
    rows = {name: split.numbers.tolist() for name, split in first.splits.items()}
    assert sorted(row for part in rows.values() for row in part) == list(range(12))
    for name, count in (("train", 2), ("validation", 1), ("test", 1)):
        assert [int((first.splits[name].y[rows[name]] == number).sum()) for number in range(3)] == [count] * 3
    assert rows == {name: split.numbers.tolist() for name, split in again.splits.items()}
    assert rows != {name: split.numbers.tolist() for name, split in other.splits.items()}
    assert first.digest == other.digest


def test_a_share_that_leaves_a_class_out_of_training_is_an_error_before_anything_is_read(tmp_path):
    content = text(labels=[0] * 10 + [1] * 2)
    assert "validation has" not in message(tmp_path, content, describe, validation_split=0.6)
    with pytest.raises(DeclarationError) as caught:
        describe(DataSection(dataset="own.csv", validation_split=0.6), tmp_path)
    assert caught.value.key == "validation_split"
    assert str(caught.value) == "training images must show every class; train has none of '1' (2 in total)"


@pytest.mark.parametrize("named", ["", "/train.csv", "/test.csv"])
def test_files_of_splits_belong_together(tmp_path, named):
    for name, rows in (("train", slice(0, 8)), ("val", slice(8, 10)), ("test", slice(10, 12))):
        (tmp_path / f"{name}.csv").write_text(text(PIXELS[rows], LABELS[rows]))
    (tmp_path / "other.csv").write_text("not,looked,at\n")
    found = load(DataSection(dataset=f"{tmp_path}{named}"), tmp_path)
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 8, "validation": 2, "test": 2}
    assert np.array_equal(found.test.x.reshape(-1, 9), PIXELS[10:])
    assert found.validation.y[found.validation.numbers].tolist() == LABELS[8:10]


def test_a_common_beginning_is_allowed(tmp_path):
    (tmp_path / "mnist_train.csv").write_text(text())
    (tmp_path / "mnist_test.csv").write_text(text(PIXELS[:2], LABELS[:2]))
    assert len(load(DataSection(dataset="mnist_train.csv"), tmp_path).test) == 2


def test_classes_may_have_names(tmp_path):
    found = made(tmp_path, text(labels=["owl", "cat", '"dog, small"'] * 4, header=""))
    assert found.classes == ("cat", "dog, small", "owl")
    assert found.train.y.tolist() == [2, 0, 1] * 4


def test_a_class_that_is_tested_but_not_trained_on_is_named(tmp_path):
    (tmp_path / "train.csv").write_text(text(labels=["cat", "dog"] * 6))
    (tmp_path / "test.csv").write_text(text(labels=["cat", "owl"] * 6))
    assert "row 1 has owl; if the labels are not classes" in message(tmp_path, dataset="train.csv")


@pytest.mark.parametrize(("count", "shape"), [(9, (3, 3, 1)), (12, (2, 2, 3)), (48, (4, 4, 3)), (10, (2, 5, 1))])
def test_the_shape_is_a_square_three_or_the_models(tmp_path, count, shape):
    pixels = np.arange(3 * count).reshape(3, count)
    (tmp_path / "own.csv").write_text(text(pixels, [0, 1, 0]))
    section = DataSection(dataset="own.csv")
    assert describe(section, tmp_path, (2, 5, 1)).input_shape == shape
    x = load(section, tmp_path, input_shape=(2, 5, 1)).train.x
    assert np.array_equal(x, pixels.reshape(3, *shape))


def test_a_shape_that_nothing_tells_is_asked_for(tmp_path):
    assert message(tmp_path, text(PIXELS[:, :7]), describe) == (
        "each row of own.csv has 7 pixels, which is no square grayscale or RGB image: set "
        "`input_shape: [height, width, channels]` under `model`"
    )


@pytest.mark.parametrize(
    ("change", "dtype"), [(lambda p: p + 0.0, np.uint8), (lambda p: p / 255, np.float32), (lambda p: p + 1, np.float32)]
)
def test_whole_numbers_to_255_are_bytes_and_all_else_is_float32(tmp_path, change, dtype):
    pixels = np.concatenate([change(PIXELS), change(np.full((1, 9), 255))])
    found = made(tmp_path, text(pixels, [*LABELS, 0]))
    assert found.train.x.dtype == dtype
    assert np.array_equal(found.train.x.reshape(13, 9), pixels.astype(np.float32))


def test_all_splits_have_one_type(tmp_path):
    (tmp_path / "train.csv").write_text(text())
    (tmp_path / "test.csv").write_text(text(PIXELS / 255))
    found = load(DataSection(dataset="train.csv"), tmp_path)
    assert found.train.x.dtype == found.test.x.dtype == np.float32


def test_without_labels_every_column_but_the_label_is_a_pixel(tmp_path):
    assert made(tmp_path, text(at=3), targets="input").train.y is None
    only = "\n".join(line.partition(",")[2] for line in text().splitlines())
    found = made(tmp_path, only, targets="input")
    assert np.array_equal(found.train.x.reshape(12, 9), PIXELS)


def test_every_bad_cell_and_row_is_told_with_its_place(tmp_path):
    lines = text().splitlines()
    lines[2] = lines[2].replace(",", ",x,", 1).rpartition(",")[0]
    lines[3] = lines[3].rpartition(",")[0]
    lines[5] += ",7"
    lines[7] = "2,1,,3,nan,5,-inf,7,1e39,9"
    assert message(tmp_path, "\n".join(lines)).splitlines() == [
        f"{tmp_path}: 7 problems",
        "  own.csv:3:2: 'pixel0' must be a finite number; received 'x'",
        "  own.csv:4: a row must have 10 values, like the first row; received 9",
        "  own.csv:6: a row must have 10 values, like the first row; received 11",
        "  own.csv:8:3: 'pixel1' must be a finite number; it is empty",
        "  own.csv:8:5: 'pixel3' must be a finite number; received 'nan'",
        "  own.csv:8:7: 'pixel5' must be a finite number; received '-inf'",
        "  own.csv:8:9: 'pixel7' must be a finite number; received '1e39'",
    ]


def test_labels_that_are_none_are_told_before_pixels_are_read(tmp_path):
    content = text(labels=["0", "1", "", "-1", "1.5", "nan", "9" * 5000, *LABELS[7:]], at=2)
    told = message(tmp_path, content, describe).splitlines()[1:]
    assert told.pop().startswith("  own.csv:8:3: 'label' must be a class name or an integer ≥ 0; ")
    assert told == [
        "  own.csv:4:3: 'label' must be a class name or number; it is empty",
        "  own.csv:5:3: 'label' must be a class name or an integer ≥ 0; received '-1'",
        "  own.csv:6:3: 'label' must be a class name or an integer ≥ 0; received '1.5'",
        "  own.csv:7:3: 'label' must be a class name or an integer ≥ 0; received 'nan'",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "own.csv: rows must have a class and pixels, separated by commas; the first line is empty"),
        ("1;2;3\n", "own.csv: rows must have a class and pixels, separated by commas; the first line is '1;2;3'"),
        ("label,a,b,c,d\n", "own.csv: there must be at least one row of pixels"),
        (
            "a,b,c,d\n1,2,3,4\n",
            "own.csv: one column must be named label, class, target or y, for the class of each row; "
            "received a, b, c, d; `label_column` under `data` names another",
        ),
        (
            "0,1,2,3,4\n1,2,3,4,5\n",
            "own.csv: one column must be named label, class, target or y, for the class of each row; "
            "received 0, 1, 2, 3, …; `label_column` under `data` names another",
        ),
        (
            ",label,a,b,c,d\n0,1,2,3,4,5\n",
            "own.csv: every column must have a name; column 1 has none (pandas writes its index there unless "
            "index=False is set)",
        ),
        ("label,a,b,c,d\n7,1,2,3,4\n7,1,2,3,4\n", "own.csv: there must be at least two classes; '7' is the only one"),
    ],
)
def test_a_table_that_can_not_be_meant_says_why(tmp_path, content, expected):
    assert message(tmp_path, content, describe) == expected


def test_bytes_that_are_no_text_are_told(tmp_path):
    (tmp_path / "own.csv").write_bytes(b"label,a,b,c,d\n\xff\xfe,1,2,3,4\n0,1,2,3,4\n")
    assert message(tmp_path, None, describe) == "own.csv: a table must be UTF-8 text"


def test_files_of_other_sizes_are_refused(tmp_path):
    (tmp_path / "train.csv").write_text(text())
    (tmp_path / "test.csv").write_text(text(PIXELS[:, :4]))
    assert message(tmp_path, dataset="train.csv").endswith(
        "images of all splits must have the same shape; train.csv has 9 pixels per row, test.csv 4"
    )


def test_options_of_images_are_refused_but_for_test_split(tmp_path):
    assert (
        message(tmp_path, text(), image_size=[3, 3]) == "image_size is only for folders of images; own.csv is not one"
    )


def test_a_table_is_checked_without_numpy(tmp_path):
    (tmp_path / "own.csv").write_text(text())
    (tmp_path / "own.yaml").write_text(
        "data: {dataset: own.csv, test_split: 0.25}\n"
        "model:\n  layers:\n    - Flatten\n    - Dense: {units: 3, activation: softmax}\n"
        "compile: {optimizer: adam, loss: categorical_crossentropy}\nfit: {epochs: 1}\n"
    )
    code = (
        "import sys\nfrom cnncli.cli import main\ntry:\n    main(['check', 'own.yaml'])\n"
        "except SystemExit as end:\n    print('ENDED', end.code, 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=child_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("ENDED 0 False\n")


def test_rows_and_pixels_that_do_not_fit_into_memory_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("cnncli.system.memory.limit", lambda: 0)
    assert "its rows need 0.0 MB of memory, but this process may use only 0.0 MB" in message(tmp_path, text())
    monkeypatch.undo()
    monkeypatch.setattr("cnncli.datasets.sources.csv_arrays.limit", lambda: 0)
    assert "own.csv: its pixels need 0.0 MB of memory, but this process may use only 0.0 MB" in message(tmp_path)
