import pytest

from cnncli.datasets.describe import describe, find
from cnncli.datasets.section import DataSection
from cnncli.errors import DeclarationError

READ = (
    "a dataset must be a built-in name, a folder of images, "
    "or a file or folder of arrays (.npz, .npy, .h5, idx or .csv)"
)


def message(folder, dataset):
    with pytest.raises(DeclarationError) as caught:
        describe(DataSection(dataset=dataset), folder)
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("name", "todo"),
    [
        ("digits.mat", "scipy.io.loadmat"),
        ("digits.pkl", "loading it may run code"),
        ("digits.parquet", "to_csv(…, index=False)"),
        ("digits.tfrecord", "tensorflow.data.TFRecordDataset"),
        ("digits.zip", "unpack it"),
        ("digits.tar.gz", "unpack it"),
        ("digits.xlsx", "save it as a comma-separated .csv file"),
        ("cat.HEIC", "save images as PNG or JPEG"),
        ("cat.png", "put images into one folder per class"),
        ("cats.npy", "x_train.npy, y_train.npy"),
    ],
)
def test_a_file_that_is_not_read_says_what_to_do(tmp_path, name, todo):
    (tmp_path / name).touch()
    text = message(tmp_path, name)
    assert text.startswith(f"{READ}; .{name.lower().split('.')[-1]} files are not supported: ")
    assert todo in text
    assert "\n" not in text


def test_a_file_of_any_other_kind_is_no_dataset(tmp_path):
    (tmp_path / "notes").touch()
    assert message(tmp_path, "notes") == f"{READ}; such files are not supported"


@pytest.mark.parametrize("entries", [[], ["README.txt"], ["digits.npz", "README.txt"]])
def test_a_folder_that_is_none_of_these_says_what_was_looked_for(tmp_path, entries):
    (tmp_path / "own").mkdir()
    for name in entries:
        (tmp_path / "own" / name).touch()
    expected = (
        "own contains no dataset; expected one of folders of images, labels.csv, x_train.npy, "
        "train-images-idx3-ubyte, train.csv"
    )
    assert message(tmp_path, "own") == expected + ("; specify the file 'digits.npz' in it" if len(entries) > 1 else "")


def test_a_folder_of_several_archives_asks_for_one(tmp_path):
    (tmp_path / "own").mkdir()
    for name in ("first.npz", "second.h5", "more.csv"):
        (tmp_path / "own" / name).touch()
    assert message(tmp_path, "own") == (
        "own contains several files of arrays or tables: choose one as `dataset`: 'first.npz' or 'more.csv' "
        "or 'second.h5'"
    )


def test_names_that_are_near_are_suggested_among_all_that_is_read(tmp_path):
    for name in ("x_train.npy", "pixels.csv", "train-images-idx3-ubyte.gz", "notes.txt"):
        (tmp_path / name).touch()
    for wrong, right in (
        ("x_trian.npy", "x_train.npy"),
        ("pixel.csv", "pixels.csv"),
        ("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"),
    ):
        assert message(tmp_path, wrong).endswith(f"; did you mean {right!r}?")
    assert "notes.txt" not in message(tmp_path, "note.txt")


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        (["cats/", "labels.csv"], "folder"),
        (["cats/", "train.csv"], "folder"),
        (["labels.csv", "train.csv"], "folder"),
        (["1.png"], "folder"),
        (["train.csv", "notes.csv"], "csv"),
        (["x_train.npy", "y_train.npy", "plots/"], "npy"),
        (["train-images-idx3-ubyte", "train-labels-idx1-ubyte"], "idx"),
    ],
)
def test_a_folder_is_told_by_the_names_in_it(tmp_path, entries, kind):
    for name in entries:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    assert find(DataSection(dataset=str(tmp_path)), tmp_path).kind == kind


def test_a_folder_of_two_kinds_asks_which(tmp_path):
    for name in ("x_train.npy", "train.csv"):
        (tmp_path / name).touch()
    text = message(tmp_path, str(tmp_path))
    assert text == f"{tmp_path} contains several datasets: specify x_train.npy or train.csv instead of the folder"
