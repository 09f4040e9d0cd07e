"""Arrays as people have them: what is understood, what is said, what is asked, and what a small network learns."""

import subprocess
import sys

import numpy as np
import pytest

from cnncli.datasets.describe import describe, find
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.array_names import by_key, key_of
from cnncli.errors import CnncliError
from tests.cli.test_train import cnncli
from tests.datasets.test_layouts import drawing

MEDMNIST = [f"{split}_{axis}" for split in ("train", "val", "test") for axis in ("images", "labels")]
NAMINGS = {
    "medmnist": MEDMNIST,
    "capitals": ["X_train", "Y_train", "X_dev", "Y_dev", "X_test", "Y_test"],
    "turned": ["train_x", "train_y", "valid_x", "valid_y", "test_x", "test_y"],
    "sets": ["train_set_x", "train_set_y", "x_valid", "y_valid", "test_set_x", "test_set_y"],
    "mixed": ["data", "target", "val_data", "val_target", "testImages", "testLabels"],
}


SPEC = """\
data: {{dataset: {dataset}}}
model: {{layers: [Flatten, Dense: {{units: 2, activation: softmax}}]}}
compile: {{optimizer: {{Adam: {{learning_rate: 0.01}}}}, loss: categorical_crossentropy, metrics: [accuracy]}}
fit: {{epochs: 8, batch_size: 8}}
expect: {{test_accuracy: ">= 0.9"}}
"""


def drawn(count, seed):
    """Images of disks and frames, uint8 (N, 12, 12, 3), and their class numbers, int64 (N,)."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    return np.stack([drawing(number, generator) for number in labels]), labels


def arrays(names, count=96):
    """The arrays of three splits by these names."""
    splits = [drawn(count // part, part) for part in (1, 4, 2)]
    return dict(zip(names, [array for split in splits for array in split], strict=True))


def message(root, **options):
    with pytest.raises(CnncliError) as caught:
        load(DataSection(dataset=str(root), **options), root.parent)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{root.parent}/", "")


def loaded(root, **options):
    return load(DataSection(dataset=str(root), **options), root.parent)


def saved(path, ending, held):
    """Write arrays to a file, or a folder of files."""
    if ending == ".npz":
        np.savez(path.with_suffix(ending), **held)
    elif ending == ".h5":
        with pytest.importorskip("h5py").File(path.with_suffix(ending), "w") as file:
            for name, array in held.items():
                file[name] = array
    else:
        path.mkdir()
        for name, array in held.items():
            np.save(path / f"{name}.npy", array)
        return path
    return path.with_suffix(ending)


@pytest.mark.parametrize("ending", [".npz", ".npy", ".h5"])
@pytest.mark.parametrize("naming", NAMINGS)
def test_usual_names_are_understood(tmp_path, naming, ending):
    names = NAMINGS[naming]
    held = arrays(names, 16)
    made = loaded(saved(tmp_path / "own", ending, held))
    for split, x, y in zip(("train", "validation", "test"), names[::2], names[1::2], strict=True):
        assert np.array_equal(made.splits[split].x, held[x])
        assert np.array_equal(made.splits[split].y, held[y])
    usual = ["x_train", "y_train", "x_val", "y_val", "x_test", "y_test"]
    told = [f"{name} as {key}" for name, key in zip(names, usual, strict=True)]
    (note,) = made.notes
    assert sorted(note.removeprefix("arrays are taken by their names: ").split(", ")) == sorted(told)


@pytest.mark.parametrize(("naming", "ending"), [("medmnist", ".npz"), ("capitals", ".npy"), ("sets", ".h5")])
def test_a_small_network_learns_from_them(tmp_path, naming, ending):
    held = arrays(NAMINGS[naming])
    held = {name: array[:, None] if array.ndim == 1 else array.astype(np.int64) for name, array in held.items()}
    place = saved(tmp_path / "own", ending, held)
    (tmp_path / "own.yaml").write_text(SPEC.format(dataset=place.name))
    done = cnncli(tmp_path, "train", "own.yaml", "--output", "run")
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stderr.split())
    assert f"{NAMINGS[naming][0]} as x_train" in told
    assert "is int64 with values from 0 to 255, which count as uint8" in told


def test_init_writes_a_spec_that_trains(tmp_path):
    place = saved(tmp_path / "own", ".npz", arrays(MEDMNIST))
    assert cnncli(tmp_path, "init", "--data", place.name, "-o", "new.yaml").returncode == 0
    assert "train_images as x_train" in (tmp_path / "new.yaml").read_text()
    done = cnncli(tmp_path, "train", "new.yaml", "--epochs", "1", "--output", "run")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "key"),
    [("X", "x_train"), ("Labels", "y_train"), ("testing-images", "x_test"), ("masks", "y_train"), ("x_t10k", None)]
    + [(name, None) for name in ("train", "index", "classes", "names", "x_more", "xy", "label_names", "")],
)
def test_a_name_says_what_it_is_or_nothing(name, key):
    assert key_of(name) == key


def test_a_usual_key_goes_before_all_others():
    names = ["images", "x_train", "X_train", "y_train", "y_val"]
    assert by_key("own.npz", names) == {name: name for name in names}


@pytest.mark.parametrize("ending", [".npz", ".npy", ".h5"])
def test_two_that_could_be_the_same_are_asked_for(tmp_path, ending):
    x, y = drawn(8, 0)
    place = saved(tmp_path / "own", ending, {"data": x, "images": x, "labels": y})
    assert message(place) == (
        f"{place.name}: 'data' and 'images' could both be x_train: call the one that is meant 'x_train'"
    )


@pytest.mark.parametrize("ending", [".npz", ".npy", ".h5"])
def test_what_is_left_over_is_named(tmp_path, ending):
    x, y = drawn(8, 0)
    place = saved(tmp_path / "own", ending, {"x_train": x, "y_train": y, "weights": y, "images": x})
    (note,) = loaded(place).notes
    end = ".npy" * (ending == ".npy")
    assert note in (
        f"arrays that are not used: {a}{end}, {b}{end}" for a, b in (("images", "weights"), ("weights", "images"))
    )


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint16, ">u2"])
def test_whole_numbers_up_to_255_count_as_uint8(tmp_path, dtype):
    x, y = drawn(8, 0)
    x = x // 2
    place = saved(tmp_path / "own", ".npz", {"x_train": x.astype(dtype), "y_train": y})
    made = loaded(place)
    assert made.train.x.dtype == np.dtype(describe(DataSection(dataset="own.npz"), tmp_path).dtype) == np.uint8
    assert np.array_equal(made.train.x, x)
    name = np.dtype(dtype).newbyteorder("=").name
    assert made.notes == [f"x_train is {name} with values from 0 to 255, which count as uint8"]


@pytest.mark.parametrize("value", [-1, 256, 4095])
def test_whole_numbers_beyond_are_refused(tmp_path, value):
    x, y = drawn(8, 0)
    x = x.astype(np.int64)
    x[5, 3, 2, 1] = value
    place = saved(tmp_path / "own", ".npz", {"x_train": x, "y_train": y})
    assert message(place) == (
        f"own.npz: x_train must hold values from 0 to 255, because it is int64; row 5 has {value}: save them as "
        "float32 and set `normalize: train` under `data`"
    )


FAR = "far from 0 to 1: unless the model scales them itself, set `normalize: train` under `data`"


def test_floats_stay_floats_and_what_looks_like_bytes_is_told(tmp_path):
    x, y = drawn(8, 0)
    made = loaded(saved(tmp_path / "own", ".npz", {"x_train": x.astype(np.float64), "y_train": y}))
    assert made.train.x.dtype == np.float32
    (note,) = made.notes
    assert note.startswith("x_train is float64, which is not rescaled by itself, with whole numbers from 0 to 255; ")
    for other, notes in ((x / 255, []), (x > 100, []), (x - 300.0, [FAR]), (x * 3.0, [FAR])):
        made = loaded(saved(tmp_path / "own", ".npz", {"x_train": other.astype(np.float32), "y_train": y}))
        assert [note[note.index("far from") :] for note in made.notes] == notes


def test_class_numbers_that_begin_after_0_are_told(tmp_path):
    x, y = drawn(8, 0)
    made = loaded(saved(tmp_path / "own", ".npz", {"x_train": x, "y_train": y[:, None] + 1}))
    assert made.train.y.tolist() == (y + 1).tolist()
    assert made.notes == [
        "class numbers are 1 to 2: with none from 0 the model needs 3 outputs; save them less 1 for 2"
    ]


@pytest.mark.parametrize(
    ("name", "files", "builtin"),
    [
        ("cifar-10-batches-py", ["batches.meta", "data_batch_1", "data_batch_2", "test_batch"], "cifar10"),
        ("cifar-100-python", ["meta", "train", "test"], "cifar100"),
    ],
)
def test_pickles_of_cifar_are_answered_with_its_name(tmp_path, name, files, builtin):
    root = tmp_path / name
    root.mkdir()
    for file in files:
        (root / file).write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    for place in (root, root / files[1]):
        assert message(place).endswith(
            "holds Python pickles, which are never opened, because that may run code; "
            f"`dataset: {builtin}` has the same images"
        )


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


def test_arrays_in_groups_are_named_by_them(tmp_path, h5py):
    x, y = drawn(8, 0)
    with h5py.File(tmp_path / "own.hdf5", "w") as file:
        file["train/images"], file["train/labels"], file["notes/by"] = x, y, "me"
    assert np.array_equal(loaded(tmp_path / "own.hdf5").train.x, x)


def test_hdf5_is_mapped_where_it_can_be_and_read_where_it_is_compressed(tmp_path, h5py):
    x, y = drawn(64, 0)
    digests = []
    for name, options in (("plain", {}), ("packed", {"compression": "gzip", "chunks": (5, 12, 12, 3)})):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset("x", data=x, **options)
            file["y"] = y
        made = loaded(tmp_path / f"{name}.h5")
        assert np.array_equal(made.train.x, x)
        assert isinstance(made.train.x, np.memmap) == (name == "plain")
        digests.append(made.digest)
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y)
    assert digests == [loaded(tmp_path / "own.npz").digest] * 2


def written(path, h5py, kind):
    """An HDF5 file whose images are not simply numbers in it."""
    x, y = drawn(8, 0)
    with h5py.File(path.parent / "other.h5", "w") as file:
        file["x"] = x
    with h5py.File(path, "w") as file:
        file["y"] = y
        if kind == "external link":
            file["x"] = h5py.ExternalLink("other.h5", "x")
        elif kind == "soft link":
            file["there"] = h5py.ExternalLink("other.h5", "/")
            file["x"] = h5py.SoftLink("/there/x")
        elif kind == "external storage":
            file.create_dataset("x", x.shape, x.dtype, external=[(str(path.parent / "other.h5"), 0, x.nbytes)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout(x.shape, x.dtype)
            layout[:] = h5py.VirtualSource("other.h5", "x", x.shape)
            file.create_virtual_dataset("x", layout)
        elif kind == "compound":
            file["x"] = np.zeros(8, [("a", "i4"), ("b", "f4")])
        elif kind == "strings":
            file["x"] = ["a"] * 8
        elif kind == "objects":
            file.create_dataset("x", (8,), h5py.vlen_dtype(np.uint8))
        elif kind == "huge":
            file.create_dataset("x", (1 << 40, 12, 12, 3), np.uint8, chunks=(1, 12, 12, 3))
            del file["y"]
            file.create_dataset("y", (1 << 40,), np.uint8, chunks=(1024,))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("external link", "x is a link, which is never followed; copy what it leads to into the file"),
        ("soft link", "x is a link, which is never followed; copy what it leads to into the file"),
        (
            "external storage",
            "x must hold numbers of this file; they are stored in other files, which are never opened",
        ),
        ("virtual", "x must hold numbers of this file; they are stored in other files, which are never opened"),
        ("compound", "x must hold numbers of this file; it holds dtype 'void64', which is not supported"),
        ("strings", "x must hold numbers of this file; it holds dtype 'object', which is not supported"),
        ("objects", "x must hold numbers of this file; it holds dtype 'object', which is not supported"),
        ("huge", "its arrays need "),
    ],
)
def test_hostile_hdf5_is_refused_in_one_line(tmp_path, h5py, kind, said):
    written(tmp_path / "own.h5", h5py, kind)
    assert message(tmp_path / "own.h5").startswith(f"own.h5: {said}")


def test_a_damaged_or_other_file_is_no_hdf5(tmp_path, h5py):
    (tmp_path / "own.h5").write_bytes(b"none")
    assert message(tmp_path / "own.h5") == "own.h5: can't be read: it is damaged or no HDF5 file"
    whole = saved(tmp_path / "cut", ".h5", arrays(MEDMNIST, 16))
    (tmp_path / "own.h5").write_bytes(whole.read_bytes()[:-3000])
    assert message(tmp_path / "own.h5").startswith("own.h5: ")


def test_without_h5py_it_says_how_to_install_it(tmp_path, monkeypatch):
    (tmp_path / "own.h5").touch()
    monkeypatch.setattr("cnncli.extras.find_spec", lambda name: None)
    assert message(tmp_path / "own.h5") == "own.h5, an HDF5 file, needs h5py: pip install 'cnncli[hdf5]'"


def test_h5py_is_not_imported_for_other_data():
    code = "import sys, cnncli, cnncli.datasets.load; sys.exit('h5py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_commands_tell_what_was_understood(tmp_path):
    x, y = drawn(40, 0)
    place = saved(tmp_path / "own", ".npz", {"images": x, "labels": y[:, None] + 1, "ids": y})
    for args in (("datasets", "check", place.name), ("init", "--data", place.name, "-o", "new.yaml")):
        told = cnncli(tmp_path, *args).stdout
        assert "  arrays are taken by their names: images as x_train, labels as y_train\n" in told
        assert "  arrays that are not used: ids\n" in told
        assert (
            "  class numbers are 1 to 2: with none from 0 the model needs 3 outputs; save them less 1 for 2\n" in told
        )


def test_too_few_outputs_for_classes_from_1_are_an_error_that_says_so(tmp_path):
    x, y = drawn(8, 0)
    place = saved(tmp_path / "own", ".npz", {"x_train": x, "y_train": y + 1})
    (tmp_path / "own.yaml").write_text(SPEC.format(dataset=place.name).split("expect")[0])
    done = cnncli(tmp_path, "train", "own.yaml", "--output", "run")
    assert done.stderr.splitlines()[-1].endswith(
        "y_train must hold class numbers below 2, the number of the model's outputs "
        "(they begin at 1: save them less 1); row 1 has 2"
    )
    assert "notice" not in done.stderr


def test_numbers_of_a_regression_are_no_class_numbers(tmp_path):
    x, y = drawn(8, 0)
    place = saved(tmp_path / "own", ".npz", {"x_train": x, "y_train": y + 20})
    assert load(DataSection(dataset=str(place)), tmp_path, input_shape=(12, 12, 3), outputs=1).notes == []


@pytest.mark.parametrize(
    ("others", "kind"),
    [(["cats/"], "folder"), (["train.csv"], "csv"), (["1.png"], "folder"), (["x_train.npy"], "npy"), ([], "npy")],
)
def test_usual_names_do_not_go_before_other_layouts(tmp_path, others, kind):
    (tmp_path / "own").mkdir()
    for name in ("data.npy", "labels.npy", *others):
        place = tmp_path / "own" / name
        place.mkdir() if name.endswith("/") else place.touch()
    found = find(DataSection(dataset="own"), tmp_path)
    assert found.kind == kind
    if others == ["x_train.npy"]:
        assert found.files["x_train"].name == "x_train.npy"
