"""Layouts that people have: what is understood, what is asked, and what a small network learns from it."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.describe import describe, find
from cnncli.datasets.images.decode import Form, decode
from cnncli.datasets.layouts.split_names import split_names
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.image_files import UnusableError
from cnncli.errors import CnncliError
from cnncli.layers.declarations.validation_errors import ValidationError
from tests.cli.test_train import cnncli
from tests.datasets.photos import classes, picture

CLASSES = ("disk", "frame")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


def drawing(number, generator, size=12):
    """A shape on noise, uint8 (size, size, 3): a disk or a frame."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    distance = (np.hypot(x, y), np.maximum(abs(x), abs(y)))[number]
    shape = distance < 4 if number == 0 else (distance > 3) & (distance < 5)
    noise = generator.integers(0, 60, (size, size, 3))
    return (noise + 180 * shape[..., None]).astype(np.uint8)


def drawings(root, count, seed=0):
    """A folder a class, each with `count` pictures."""
    generator = np.random.default_rng(seed)
    for number, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(drawing(number, generator)).save(root / name / f"{i:03}.png")


def samples(root, **options):
    return describe(DataSection(dataset=str(root), **options), root).samples


def message(root, **options):
    with pytest.raises(CnncliError) as caught:
        load(DataSection(dataset=str(root), **options), root)
    return str(caught.value).replace(f"{root.parent}/", "")


SPEC = """\
data: {{dataset: {dataset}, image_size: [12, 12], {data}}}
model: {{layers: [Flatten, Dense: {{units: {units}, activation: softmax}}]}}
compile: {{optimizer: {{Adam: {{learning_rate: 0.01}}}}, loss: categorical_crossentropy, metrics: [accuracy]}}
fit: {{epochs: 8, batch_size: 8}}
expect: {{test_accuracy: ">= 0.9"}}
"""


def trained(folder, dataset, data="validation_split: 0.1", units=2):
    """Train on a dataset for some epochs, at the end of which the test must be passed; what is printed."""
    (folder / "own.yaml").write_text(SPEC.format(dataset=dataset, data=data, units=units))
    done = cnncli(folder, "train", "own.yaml", "--output", "run")
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set", "test_set"),
        ("Training", "Testing"),
        ("archive/data/train", "archive/data/test"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("asl_alphabet_train/asl_alphabet_train", "asl_alphabet_test/asl_alphabet_test"),
        ("trainset", "testset"),
        ("data/TrainData/images", "data/TestData/images"),
    ],
)
def test_splits_by_their_usual_names_are_trained_on(tmp_path, train, test):
    drawings(tmp_path / "own" / train, 30)
    drawings(tmp_path / "own" / test, 8, seed=1)
    (tmp_path / "own/__MACOSX").mkdir()
    (tmp_path / "own/docs").mkdir()
    (tmp_path / "own/docs/notes.txt").write_text("about")
    known = describe(DataSection(dataset="own"), tmp_path)
    assert (known.names, known.samples) == (CLASSES, {"train": 60, "test": 16})
    trained(tmp_path, "own")


def test_folders_around_the_data_are_passed_and_named(tmp_path):
    drawings(tmp_path / "own/archive/data", 20)
    (tmp_path / "own/README.md").write_text("about")
    assert find(DataSection(dataset="own"), tmp_path).file == tmp_path / "own/archive/data"
    trained(tmp_path, "own", "test_split: 0.2")
    done = cnncli(tmp_path, "datasets", "check", "own")
    assert done.stdout.splitlines()[0] == "own/archive/data: 40 images, 2 classes"
    done = cnncli(tmp_path, "init", "--data", "own", "-o", "new.yaml")
    assert done.stdout.splitlines()[0] == "own/archive/data: 40 images, 2 classes"
    assert "  dataset: own/archive/data/ " in (tmp_path / "new.yaml").read_text()


def test_images_to_predict_beside_splits_are_left_out_and_named(tmp_path):
    drawings(tmp_path / "own/seg_train/seg_train", 30)
    drawings(tmp_path / "own/seg_test/seg_test", 8, seed=1)
    picture(tmp_path / "own/seg_pred/1.png")
    told = trained(tmp_path, "own")
    said = "'seg_pred' is left out, because it has no classes: predict its images with `cnncli predict`"
    assert f"notice: {tmp_path}/own: {said}\n" in told
    assert f"  {said}\n" in cnncli(tmp_path, "datasets", "check", "own").stdout


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["trainer", "driver"], {}),
        (["test tube", "flask"], {}),
        (["crash_test", "test_tube"], {}),
        (["Training", "Running"], {"train": "Training"}),
        (["train", "val"], {"train": "train", "validation": "val"}),
        (["dev", "eval"], {"validation": "dev", "test": "eval"}),
        (["train2017", "val2017"], {"train": "train2017", "validation": "val2017"}),
        (["TRAIN", "TEST", "VALIDATION"], {"train": "TRAIN", "test": "TEST", "validation": "VALIDATION"}),
    ],
)
def test_names_are_read_as_words(names, splits):
    assert split_names(names).splits == splits


def test_a_class_with_a_splits_name_among_others_stays_a_class(tmp_path):
    classes(tmp_path / "own", ("training", "running", "test tube"))
    assert describe(DataSection(dataset="own"), tmp_path).names == ("running", "test tube", "training")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["test_set", "cats"],
            "own: test_set is a split, not a class: all other folders must be splits, too; received 'cats'",
        ),
        (
            ["Training", "Testing", "cats"],
            "own: Testing and Training are splits, not classes: all other folders must be splits, too; received 'cats'",
        ),
        (["train", "training"], "own: each split must have one folder; received train and training"),
    ],
)
def test_splits_beside_something_else_are_asked_about(tmp_path, names, said):
    for name in names:
        classes(tmp_path / "own" / name)
    hint = "; if they are classes, set `layout: class_folders` under `data`"
    assert message(tmp_path / "own") == said + hint
    assert describe(DataSection(dataset="own", layout="class_folders"), tmp_path).names == tuple(sorted(names))


def test_folders_that_all_hold_the_same_folders_are_asked_about(tmp_path):
    for name in ("first", "second"):
        classes(tmp_path / "own" / name, size=(9, 9))
    assert message(tmp_path / "own") == (
        "own: its folders first, second all hold the folders cats, dogs and no image of their own: if they are splits, "
        "name them train, val and test; if they are the classes, set `layout: class_folders` under `data`"
    )
    found = load(DataSection(dataset="own", layout="class_folders"), tmp_path)
    assert (found.classes, len(found.train)) == (("first", "second"), 16)
    done = cnncli(tmp_path, "datasets", "check", "own", "--layout", "class_folders")
    assert "  train: first 8, second 8\n" in done.stdout
    assert cnncli(tmp_path, "init", "--data", "own", "--layout", "class_folders").returncode == 0
    assert "  layout: class_folders" in (tmp_path / "own.yaml").read_text()


def test_one_folder_in_each_class_is_no_question(tmp_path):
    for name in ("cats", "dogs"):
        picture(tmp_path / "own" / name / "images/1.png")
    assert describe(DataSection(dataset="own"), tmp_path).names == ("cats", "dogs")


def arrays(count, *, seed=0, data_format="channels_first"):
    """`count` pictures of each class: uint8 (N, 3, 12, 12), or channels last; and their class numbers."""
    generator = np.random.default_rng(seed)
    x = np.stack([drawing(number, generator) for _ in range(count) for number in (0, 1)])
    return (x if data_format == "channels_last" else np.moveaxis(x, -1, 1)), np.tile([0, 1], count)


def saved(folder, kind, data_format="channels_first"):
    """A dataset of such arrays, in an archive or as single files; its name."""
    made = {}
    for split, count in (("train", 30), ("test", 8)):
        made[f"x_{split}"], made[f"y_{split}"] = arrays(count, seed=count, data_format=data_format)
    made = {key: np.ascontiguousarray(array) for key, array in made.items()}
    if kind == "npz":
        np.savez(folder / "own.npz", **made)
        return "own.npz"
    for key, array in made.items():
        (folder / "own").mkdir(exist_ok=True)
        np.save(folder / "own" / f"{key}.npy", array)
    return "own"


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_channels_first_is_asked_about_and_equals_a_transposed_file(tmp_path, kind):
    for data_format in ("channels_first", "channels_last"):
        (tmp_path / data_format).mkdir()
        saved(tmp_path / data_format, kind, data_format)
    name = "own.npz" if kind == "npz" else "own"
    with pytest.raises(CnncliError) as caught:
        describe(DataSection(dataset=name), tmp_path / "channels_first")
    place = "own.npz: x_train" if kind == "npz" else "own/x_train.npy"
    assert str(caught.value) == (
        f"{tmp_path}/channels_first/{place} has shape (60, 3, 12, 12), which looks like channels first: set "
        "`data_format: channels_first` under `data` to transpose it, or `data_format: channels_last` if images are "
        "3 × 12 with 12 channels"
    )
    asked = DataSection(dataset=name, data_format="channels_first")
    found, plain = load(asked, tmp_path / "channels_first"), load(DataSection(dataset=name), tmp_path / "channels_last")
    assert found.digest == plain.digest
    assert np.array_equal(found.train.x, plain.train.x)
    assert found.train.x.flags.c_contiguous
    last = DataSection(dataset=name, data_format="channels_last")
    assert describe(last, tmp_path / "channels_first").input_shape == (3, 12, 12)


def test_channels_first_is_trained_on_evaluated_and_predicted(tmp_path):
    saved(tmp_path, "npz")
    text = SPEC.replace("image_size: [12, 12], ", "")
    (tmp_path / "own.yaml").write_text(
        text.format(dataset="own.npz", data="validation_split: 0.1, data_format: channels_first", units=2)
    )
    done = cnncli(tmp_path, "train", "own.yaml", "--output", "run")
    assert done.returncode == 0, done.stderr
    (tmp_path / "last").mkdir()
    saved(tmp_path / "last", "npz", "channels_last")
    shown = [cnncli(tmp_path, "evaluate", "run").stdout]
    shown += [cnncli(tmp_path, "evaluate", "run", "--data", place).stdout for place in ("own.npz", "last/own.npz")]
    assert shown[0] and {text.splitlines()[-1] for text in shown} == {shown[0].splitlines()[-1]}
    x, _ = arrays(2)
    np.save(tmp_path / "first.npy", x)
    np.save(tmp_path / "last.npy", np.moveaxis(x, 1, -1))
    first, last = (cnncli(tmp_path, "predict", "run", f"{name}.npy").stdout for name in ("first", "last"))
    assert first and first == last.replace("last.npy", "first.npy")


def test_init_writes_the_format_of_channels_first(tmp_path):
    saved(tmp_path, "npz")
    assert cnncli(tmp_path, "init", "--data", "own.npz").returncode == 0
    assert "  data_format: channels_first\n" in (tmp_path / "own.yaml").read_text()


@pytest.mark.parametrize("dataset", ["mnist5k", "mnist", "own", "own.csv"])
def test_the_format_of_arrays_is_refused_elsewhere(tmp_path, dataset):
    classes(tmp_path / "own")
    (tmp_path / "own.csv").write_text("label,a,b,c,d\n0,1,2,3,4\n1,1,2,3,4\n")
    with pytest.raises(CnncliError, match=r"^data_format is only for files of arrays; .* is not one$"):
        describe(DataSection(dataset=dataset, data_format="channels_first"), tmp_path)


def rows(count, seed=0, border=0):
    """A table of pictures in grey, 12 × 12, with a dark border: the class's number, then its pixels."""
    generator, made = np.random.default_rng(seed), []
    for _ in range(count):
        for number in (0, 1):
            grey = drawing(number, generator)[..., 0]
            grey[:1] = border if border else grey[:1]
            made.append([number, *grey.ravel().tolist()])
    return made


def write(path, lines):
    path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))


def test_a_last_column_is_the_class_where_only_it_can_be(tmp_path):
    write(tmp_path / "own.csv", [[*pixels, label] for label, *pixels in rows(60, border=9)])
    said = (
        "own.csv has no header: the last of its 145 columns is taken for the class (`label_column` under `data` names "
        "another)"
    )
    text = SPEC.replace("image_size: [12, 12], ", "")
    (tmp_path / "own.yaml").write_text(text.format(dataset="own.csv", data="test_split: 0.2", units=2))
    done = cnncli(tmp_path, "train", "own.yaml", "--output", "run")
    assert done.returncode == 0, done.stderr
    assert f"notice: {tmp_path}/own.csv: {said}\n" in done.stderr
    assert f"  {said}\n" in cnncli(tmp_path, "datasets", "check", "own.csv").stdout
    assert f"  {said}\n" in cnncli(tmp_path, "init", "--data", "own.csv", "-o", "new.yaml").stdout
    assert f"  # {said}\n" in (tmp_path / "new.yaml").read_text()


def test_a_first_column_is_the_class_as_before_and_said(tmp_path):
    write(tmp_path / "own.csv", rows(6))
    found = load(DataSection(dataset="own.csv"), tmp_path)
    assert found.train.y.tolist() == [0, 1] * 6
    assert found.notes == (
        "own.csv has no header: the first of its 145 columns is taken for the class (`label_column` under `data` names "
        "another)",
    )


def test_where_both_ends_can_be_the_class_it_is_asked(tmp_path):
    lines = [[number, *pixels[1:], number] for number, *pixels in rows(6)]
    write(tmp_path / "own.csv", lines)
    said = (
        "own.csv has no header, and both its first and its last column can be the class: set `label_column: 1` or "
        "`label_column: 145` under `data`"
    )
    with pytest.raises(CnncliError) as caught:
        describe(DataSection(dataset="own.csv"), tmp_path)
    assert str(caught.value) == said
    for column in (1, 145):
        found = load(DataSection(dataset="own.csv", label_column=column), tmp_path)
        assert (found.train.y.tolist(), found.notes) == ([0, 1] * 6, ())
        kept = [line[:-1] if column == 145 else line[1:] for line in lines]
        assert np.array_equal(found.train.x.reshape(12, -1), kept)


def test_the_column_of_the_class_may_be_named(tmp_path):
    header = ["digit", *(f"p{i}" for i in range(144))]
    write(tmp_path / "own.csv", [header, *rows(6)])
    section = DataSection(dataset="own.csv")
    with pytest.raises(CnncliError, match=r"received digit, p0, p1, p2, …; `label_column` under `data` names another$"):
        describe(section, tmp_path)
    assert load(section.replace(label_column="digit"), tmp_path).train.y.tolist() == [0, 1] * 6
    for wrong in ("species", 146):
        with pytest.raises(CnncliError) as caught:
            describe(section.replace(label_column=wrong), tmp_path)
        assert str(caught.value) == (
            f"label_column must be a column of own.csv, digit, p0, p1, p2, … or 1 to 145; received {wrong}"
        )
    for wrong in (0, -1, "", True):
        with pytest.raises(ValidationError, match="label_column must be the name of a column, or its number from 1"):
            section.replace(label_column=wrong)
    with pytest.raises(CnncliError, match=r"^label_column is only for tables of pixels; mnist5k is not one$"):
        describe(DataSection(dataset="mnist5k", label_column=1), tmp_path)


def drawn_in_alpha(pixels):
    """A drawing as black of which only the opacity differs."""
    grey = pixels[..., :1]
    return np.concatenate([np.zeros_like(pixels), grey], axis=2)


def in_twelve_bits(pixels):
    """A drawing as values from 0 to 4095."""
    return pixels[..., 0].astype(np.uint16) * 17


def redrawn(root, change, count=30):
    """A folder a class in train and test, of drawings that `change` turns into other arrays."""
    for split, number in (("train", count), ("test", count // 3)):
        generator = np.random.default_rng(number)
        for label, name in enumerate(CLASSES):
            (root / split / name).mkdir(parents=True)
            for i in range(number):
                Image.fromarray(change(drawing(label, generator))).save(root / split / name / f"{i:03}.png")


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        (drawn_in_alpha, "alpha: white", "drawn in the alpha channel only, which is dropped; set `alpha: white` under"),
        (in_twelve_bits, "bit_depth: 12", "of 16 bits with values below 4,096; set `bit_depth: 12` under"),
    ],
)
def test_content_that_gets_lost_is_told_and_kept_by_a_key(tmp_path, change, key, said):
    redrawn(tmp_path / "own", change)
    files = ", ".join(f"test/disk/00{i}.png" for i in range(3))
    line = f"  80 images are {said} `data`: {files}, …\n"
    assert line in cnncli(tmp_path, "datasets", "check", "own").stdout
    assert line in cnncli(tmp_path, "init", "--data", "own", "-o", "new.yaml").stdout
    assert f"  {key}\n" in (tmp_path / "new.yaml").read_text()
    assert said not in cnncli(tmp_path, "datasets", "check", "new.yaml").stdout  # which has the key
    trained(tmp_path, "own", f"validation_split: 0.1, {key}")
    done = cnncli(tmp_path, "predict", "run", *(f"own/test/{name}/000.png" for name in CLASSES))
    assert [name in line for name, line in zip(CLASSES, done.stdout.splitlines(), strict=True)] == [True, True]
    assert cnncli(tmp_path, "evaluate", "run", "--data", "own").returncode == 0


def test_images_of_one_colour_and_of_a_sliver_of_brightness_are_told(tmp_path):
    redrawn(tmp_path / "own", lambda pixels: pixels // 16 + 90, count=6)
    picture(tmp_path / "own/train/disk/flat.png")
    told = cnncli(tmp_path, "datasets", "check", "own").stdout
    assert "  1 image is of one colour: train/disk/flat.png\n" in told
    files = ", ".join(f"test/{name}/00{i}.png" for name, i in (("disk", 0), ("disk", 1), ("frame", 0)))
    assert f"  16 images are within an eighth of the range from black to white: {files}, …\n" in told


@pytest.mark.parametrize(
    ("alpha", "mode", "expected"),
    [
        ("drop", "rgb", [200, 100, 0]),
        ("white", "rgb", [222, 162, 102]),
        ("black", "rgb", [120, 60, 0]),
        ("channel", "rgb", [200, 100, 0, 153]),
        ("channel", "grayscale", [118, 153]),
    ],
)
def test_alpha_is_dropped_composed_or_a_channel(tmp_path, alpha, mode, expected):
    Image.new("RGBA", (4, 4), (200, 100, 0, 153)).save(tmp_path / "x.png")
    found = decode(tmp_path / "x.png", Form(4, 4, mode, alpha=alpha))
    assert np.array_equal(found, np.broadcast_to(np.array(expected), (4, 4, len(expected))))
    for name in CLASSES:
        picture(tmp_path / "own" / name / "1.png")
    section = DataSection(dataset="own", alpha=alpha, color_mode=mode)
    assert describe(section, tmp_path).input_shape == load(section, tmp_path).train.x.shape[1:] == (6, 4, len(expected))


def test_images_without_alpha_are_as_opaque_as_they_look(tmp_path):
    picture(tmp_path / "x.jpg", colour=(90, 90, 90))
    for alpha, channels in (("white", 3), ("channel", 4)):
        found = decode(tmp_path / "x.jpg", Form(6, 4, alpha=alpha))
        assert np.array_equal(found, np.broadcast_to([90, 90, 90, 255][:channels], (6, 4, channels)))


def test_values_of_sixteen_bits_are_spread_over_their_depth(tmp_path):
    values = np.array([[0, 1, 8, 100], [2047, 2048, 4094, 4095]], np.uint16)
    Image.fromarray(values).save(tmp_path / "x.png")
    found = decode(tmp_path / "x.png", Form(2, 4, "grayscale", bit_depth=12))[..., 0]
    assert np.array_equal(found, np.round(values * 255.0 / 4095))
    with pytest.raises(UnusableError, match=r"^with bit_depth 11 values must be at most 2,047; it has 4,095$"):
        decode(tmp_path / "x.png", Form(2, 4, "grayscale", bit_depth=11))
    deep = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", deep), (b"IDAT", zlib.compress(b"\0" + b"\x0f\xff" * 3)), (b"IEND", b"")]
    whole = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + whole)
    assert decode(tmp_path / "deep.png", Form(1, 1)).tolist() == [[[15, 15, 15]]]
    with pytest.raises(UnusableError, match=r"^with bit_depth 12 a 16-bit image must be grayscale; it has colours$"):
        decode(tmp_path / "deep.png", Form(1, 1, bit_depth=12))


def masked(root, count=20, ending=".png"):
    """A folder a class, each drawing with its mask beside it."""
    generator = np.random.default_rng(3)
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = drawing(label, generator)
            Image.fromarray(pixels).save(root / name / f"{name} ({i}).png")
            shape = (pixels.min(axis=2) >= 150).astype(np.uint8)
            Image.fromarray(255 * shape).save(root / name / f"{name} ({i})_mask{ending}")


MASKED = """\
data: {dataset: own, targets: masks, validation_split: 0.1, test_split: 0.2}
model: {layers: [Conv2D: {filters: 2, kernel_size: 1, activation: softmax}]}
compile: {optimizer: {Adam: {learning_rate: 0.1}}, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 8, batch_size: 8}
expect: {test_accuracy: ">= 0.9"}
"""


def test_masks_beside_images_are_no_pictures_and_are_trained_on_as_masks(tmp_path):
    masked(tmp_path / "own")
    told = trained(tmp_path, "own", "test_split: 0.2")
    said = (
        "40 files are masks of the images beside them and left out, such as disk/disk (0)_mask.png: train on masks "
        "with `targets: masks`, or on all files with `layout: class_folders`"
    )
    assert f"notice: {tmp_path}/own: {said}\n" in told
    assert samples(tmp_path / "own") == {"train": 40}
    assert samples(tmp_path / "own", layout="class_folders") == {"train": 80}
    assert samples(tmp_path / "own", targets="masks") == {"train": 40}
    (tmp_path / "masked.yaml").write_text(MASKED)
    done = cnncli(tmp_path, "train", "masked.yaml", "--output", "masked")
    assert done.returncode == 0, done.stderr


def test_masks_beside_images_that_can_not_be_used_are_named(tmp_path):
    masked(tmp_path / "own", 2)
    for name in ("disk (0)_mask_1.png", "disk (9).png"):
        picture(tmp_path / "own/disk" / name)
    (tmp_path / "own/frame/frame (0)_mask.png").rename(tmp_path / "own/frame/frame (0)_mask.jpg")
    assert message(tmp_path / "own", targets="masks").splitlines()[:5] == [
        "own: 4 problems",
        "  disk/disk (0)_mask_1.png: an image must have one mask; disk/disk (0).png has disk/disk (0)_mask.png",
        "  frame/frame (0)_mask.jpg: a mask must be PNG, BMP, GIF, PNM or TIFF: lossy formats change class numbers",
        "  disk/disk (9).png: an image must have a mask, disk/disk (9)_mask.png",
        "  frame/frame (0).png: an image must have a mask, frame/frame (0)_mask.png",
    ]


def test_init_writes_a_segmenter_for_a_folder_of_images_with_masks(tmp_path):
    masked(tmp_path / "all")
    (tmp_path / "all/frame").rename(tmp_path / "frame")
    done = cnncli(tmp_path, "init", "--data", "all")
    assert done.stdout.splitlines()[0] == "all: 20 images with masks, 2 classes of pixels"


def test_folders_of_images_and_masks_are_no_classes(tmp_path):
    classes(tmp_path / "own", ("images", "masks"))
    assert message(tmp_path / "own").splitlines()[1] == (
        "  .: holds images and masks, not classes: set `targets: masks` under `data`"
    )
