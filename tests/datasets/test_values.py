"""`targets: values`: numbers as targets, of tables and of arrays."""

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.describe import describe
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError, DeclarationError
from cnncli.layers.declarations.validation_errors import ValidationError


def folder(path, table, place="."):
    """A folder with a table and an image of each file in it."""
    (path / place).mkdir(exist_ok=True)
    (path / place / "labels.csv").write_text(table)
    for number, line in enumerate(table.splitlines()[1:]):
        name = line.replace(";", ",").split(",")[0]
        Image.new("L", (4, 4), number).save(path / place / name)
    return path


def read(path, **options):
    data = DataSection(dataset=".", **{"targets": "values", "color_mode": "grayscale", **options})
    assert describe(data, path).samples == load(data, path).sizes
    return load(data, path)


def arrays(path, y, **options):
    x = np.zeros((len(y), 4, 4), np.uint8)
    np.savez(path / "own.npz", x_train=x, y_train=y)
    return load(DataSection(dataset="own.npz", targets="values", **options), path, outputs=3)


def message(path, **options):
    with pytest.raises((CnncliError, DeclarationError)) as error:
        read(path, **options)
    return str(error.value).replace(str(path), "HERE")


def test_every_column_besides_the_file_is_an_output_in_its_order(tmp_path):
    made = read(folder(tmp_path, "file,radius,age\nb.png,2.5,40\na.png,-1e2,41\n"))
    assert made.classes == ("radius", "age")
    assert made.train.files == ["a.png", "b.png"]
    assert made.train.y.dtype == np.float32
    assert made.train.y.tolist() == [[-100, 41], [2.5, 40]]


def test_semicolons_and_a_column_by_name_or_number(tmp_path):
    path = folder(tmp_path, "patient;file;age\n")
    (path / "labels.csv").write_text("file;patient;age\na.png;Ann;40\nb.png;Bob;50\n")
    for name in ("a.png", "b.png"):
        Image.new("L", (4, 4)).save(path / name)
    for column in ("age", 3):
        made = read(path, label_column=column)
        assert made.classes == ("age",)
        assert made.train.y.tolist() == [[40], [50]]
    assert message(path) == (
        "HERE/labels.csv: column 'patient' holds no numbers, as `targets: values` requires; choose another with "
        "`label_column: age` under `data`"
    )
    assert (
        message(path, label_column="size")
        == "label_column must be one of patient, age in HERE/labels.csv; received size"
    )


def test_cells_that_are_no_numbers_are_told_with_their_lines_or_skipped(tmp_path):
    path = folder(tmp_path, "file,age\na.png,1\nb.png,\nc.png,old\nd.png,nan\ne.png,2\nf.png,1e39\n")
    assert message(path) == (
        "HERE: 4 problems\n"
        "  labels.csv:3: column 'age' must be a number; it is empty\n"
        "  labels.csv:4: column 'age' must be a number; received 'old'\n"
        "  labels.csv:5: column 'age' must be a number; received 'nan'\n"
        "  labels.csv:7: column 'age' must be a number; received '1e39'\n"
        "`cnncli datasets check HERE` checks every file; set `on_error: skip` under `data` to skip such files"
    )
    assert read(path, on_error="skip").train.y.tolist() == [[1], [2]]


def test_splits_have_a_table_each_or_are_random_shares(tmp_path):
    for place, count in (("train", 20), ("test", 3)):
        folder(tmp_path, "file,age\n" + "".join(f"{i}.png,{i}.5\n" for i in range(count)), place)
    made = read(tmp_path, validation_split=0.25)
    assert made.sizes == {"train": 15, "validation": 5, "test": 3}
    rows = [*made.train.numbers, *made.validation.numbers]
    assert sorted(made.train.y[rows, 0].tolist()) == [i + 0.5 for i in range(20)]
    assert made.validation.y[made.validation.numbers, 0].tolist() != [15.5, 16.5, 17.5, 18.5, 19.5]
    (tmp_path / "test/labels.csv").write_text("file,size\n0.png,1\n")
    assert "the labels.csv of every split must have the same columns" in message(tmp_path)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("age,size\n1,2\n", "with `targets: values` the columns must be file and one for each value"),
        ("file,age\n", "HERE: 1 problem\n  labels.csv: there must be at least one usable row"),
        ("file,age\na.png,1,2\n", "a row must have 2 values, one per column; received 3"),
    ],
)
def test_other_tables_are_told(tmp_path, table, told):
    (tmp_path / "labels.csv").write_text(table)
    assert told in message(tmp_path)


def test_a_folder_without_a_table_is_told(tmp_path):
    (tmp_path / "cats").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "cats/a.png")
    assert message(tmp_path) == (
        "HERE: `targets: values` requires a labels.csv with the column file and a column for each value"
    )


def test_numbers_in_columns_of_classes_are_answered_with_the_way_to_predict_them(tmp_path):
    path = folder(tmp_path, "file,age,size\na.png,41,1.5\n")
    assert "column 'age' must be 0 or 1; received '41' (numbers to be predicted need `targets: values`" in message(
        path, targets="labels"
    )


def test_the_digest_follows_the_numbers(tmp_path):
    first = read(folder(tmp_path, "file,age\na.png,1\nb.png,2\n")).digest
    assert read(tmp_path).digest == first
    assert read(folder(tmp_path, "file,age\na.png,1\nb.png,3\n")).digest != first


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float64])
@pytest.mark.parametrize("shape", [(8,), (8, 1), (8, 3)])
def test_arrays_of_any_numbers_are_values(tmp_path, dtype, shape):
    y = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    made = arrays(tmp_path, y, validation_split=0.25)
    assert made.train.y.dtype == np.float32
    assert made.train.y.tolist() == y.reshape(8, -1)[:6].tolist()
    assert made.validation.y.tolist() == y.reshape(8, -1)[6:].tolist()
    data = DataSection(dataset="own.npz", targets="values")
    assert describe(data, tmp_path).values == y.reshape(8, -1).shape[1]


def test_arrays_of_zeros_and_ones_are_no_classes(tmp_path):
    assert arrays(tmp_path, np.array([0, 0, 0, 1]), validation_split=0.25).validation.y.tolist() == [[1]]
    assert arrays(tmp_path, np.array([0, 0, 0, 1]), folds=2, fold=2).sizes == {"train": 2, "validation": 2}


def test_what_holds_no_numbers_is_refused(tmp_path):
    with pytest.raises(CnncliError, match="row 1 has nan"):
        arrays(tmp_path, np.array([0, np.nan, 1]))
    with pytest.raises(CnncliError, match=r"must have shape \(N,\) or \(N, k\) with `targets: values`"):
        arrays(tmp_path, np.zeros((3, 2, 2)))
    for name in ("mnist5k", "cifar10", {"synthetic": {}}):
        with pytest.raises(DeclarationError, match="has labels only"):
            describe(DataSection(dataset=name, targets="values"), tmp_path)
    with pytest.raises(DeclarationError, match="test_split of arrays must be omitted with `targets: values`"):
        arrays(tmp_path, np.array([0.5, 1, 2]), test_split=0.3)


def test_stratified_splits_do_not_apply():
    with pytest.raises(ValidationError, match="stratified requires class labels; remove it with `targets: values`"):
        DataSection(dataset="own.npz", targets="values", stratified=True)
