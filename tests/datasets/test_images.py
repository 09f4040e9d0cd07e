"""Folders as data sources: described without decoding, loaded from the cache."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.batches import Feed
from cnncli.datasets.describe import describe
from cnncli.datasets.images import load_images
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.image_names import READ
from cnncli.errors import CnncliError, DeclarationError
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.losses import CategoricalCrossentropy
from tests.datasets.photos import classes, picture, table


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


def section(**options):
    return DataSection(dataset="photos", **options)


def message(folder, error=CnncliError, call=load, **options):
    with pytest.raises(error) as caught:
        call(section(**options), folder)
    return str(caught.value).replace(f"{folder}/", "")


def pixel(dataset, split):
    """The first pixel of each image of a split: (red, green), which tell images and classes apart."""
    part = dataset.splits[split]
    return part.x[part.numbers][:, 0, 0, :2].tolist()


def test_a_folder_is_described_by_the_first_images_header(tmp_path):
    classes(tmp_path / "photos", count=4)
    found = describe(section(validation_split=0.25), tmp_path)
    assert (found.source, found.input_shape, found.dtype) == (str(tmp_path / "photos"), (6, 4, 3), "uint8")
    assert (found.classes, found.samples) == (2, {"train": 6, "validation": 2})
    assert describe(section(color_mode="grayscale", image_size=[8, 9]), tmp_path).input_shape == (8, 9, 1)
    assert describe(section(targets="input"), tmp_path).classes is None


def test_what_is_loaded_is_what_was_described(tmp_path):
    classes(tmp_path / "photos", ("a", "b", "c"), 8)
    data = section(validation_split=0.25, test_split=0.25)
    made, described = load(data, tmp_path, seed=3), describe(data, tmp_path, seed=3)
    assert {name: len(split) for name, split in made.splits.items()} == described.samples
    assert described.samples == {"train": 12, "validation": 6, "test": 6}
    assert made.train.x.shape[1:] == described.input_shape
    assert made.classes == ("a", "b", "c")


def test_each_image_is_in_one_split_with_its_own_class_and_name(tmp_path):
    classes(tmp_path / "photos", count=8)
    made = load(section(validation_split=0.25, test_split=0.25), tmp_path, seed=3)
    seen = []
    for name, split in made.splits.items():
        labels, files = split.y[split.numbers], split.document()["files"]
        for (red, green), label, file in zip(pixel(made, name), labels, files, strict=True):
            assert green == 100 + label
            assert file == f"{('cats', 'dogs')[label]}/{red // 10:02}.png"
            seen.append(file)
    assert sorted(seen) == [f"{name}/{i:02}.png" for name in ("cats", "dogs") for i in range(8)]


def test_another_seed_divides_otherwise_from_the_same_cache(tmp_path):
    classes(tmp_path / "photos", count=8)
    data = section(validation_split=0.5)
    first, second = load(data, tmp_path, seed=1), load(data, tmp_path, seed=2)
    assert first.validation.document() != second.validation.document()
    assert first.digest == second.digest
    assert first.train.x.filename == second.train.x.filename
    assert load(data, tmp_path, seed=1).validation.document() == first.validation.document()


def test_a_feed_takes_a_splits_rows_and_no_others(tmp_path):
    classes(tmp_path / "photos", count=4)
    made = load(section(validation_split=0.5), tmp_path, seed=5)
    inputs, targets = np.zeros((4, 6, 4, 3), np.float32), np.zeros((4, 2), np.float32)
    feed = Feed(made.validation, 1.0, CategoricalCrossentropy(), inputs, {"output": targets})
    assert feed.fill(np.array([3, 0])) == 2
    wanted = pixel(made, "validation")
    assert inputs[:2, 0, 0, :2].tolist() == [wanted[3], wanted[0]]
    assert targets[:2].tolist() == [[0, 1], [1, 0]]


def resident(path):
    """KiB of a mapped file in this process' memory, as Linux counts them."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if line.endswith(str(path)):
            return int(next(line for line in lines if line.startswith("Rss:")).split()[1])
    raise AssertionError


def test_a_large_cache_stays_in_memory_only_up_to_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr("cnncli.datasets.sources.memmap.AROUND", 0)
    classes(tmp_path / "photos", count=4, size=(256, 256))
    made = load(section(), tmp_path)
    inputs, targets = np.zeros((8, 256, 256, 3), np.float32), np.zeros((8, 2), np.float32)
    for most, kept in ((3 << 18, False), (3 << 20, True)):
        monkeypatch.setattr("cnncli.datasets.sources.memmap.MOST_MAPPED", most)
        feed = Feed(made.train, 1.0, CategoricalCrossentropy(), inputs, {"output": targets})
        for _ in range(2):
            feed.fill(slice(0, 8))
            assert inputs[:, 5, 9, :2].tolist() == pixel(made, "train")
        feed.fill(slice(0, 8))
        assert (resident(made.train.x.filename) > 0) == kept


def test_own_splits_are_taken_as_they_are_and_train_may_be_divided(tmp_path):
    for name, count in (("train", 4), ("test", 2)):
        classes(tmp_path / "photos" / name, count=count)
    made = load(section(validation_split=0.25), tmp_path)
    assert {name: len(split) for name, split in made.splits.items()} == {"train": 6, "validation": 2, "test": 4}
    assert made.test.document()["files"] == [f"test/{name}/{i:02}.png" for name in ("cats", "dogs") for i in range(2)]


def test_columns_of_a_table_become_rows_of_ones_and_zeros(tmp_path):
    table(tmp_path / "photos", "file,sun,rain\nc.png,0,0\na.png,1,0\nb.png,1,1\n")
    made = load(section(), tmp_path)
    assert made.classes == ("sun", "rain")
    assert made.train.y.dtype == np.float32
    assert made.train.y[made.train.numbers].tolist() == [[1, 0], [1, 1], [0, 0]]


def test_the_input_may_be_the_target(tmp_path):
    picture(tmp_path / "photos" / "x.png")
    made = load(section(targets="input"), tmp_path)
    assert made.train.y is None
    assert (len(made.train), made.classes) == (1, ())


def spoil(folder):
    classes(folder / "photos", count=4)
    (folder / "photos/cats/01.png").write_text("text")
    (folder / "photos/dogs/02.png").write_bytes(b"")
    picture(folder / "photos/dogs/03.png", size=(5, 5))


def test_all_files_that_can_not_be_decoded_are_told_at_once(tmp_path):
    spoil(tmp_path)
    decode = f"an image must be {READ}; its content is not a supported image"
    size = "without image_size all images must have the size of the first, 6 × 4 (height × width); received 5 × 5"
    assert message(tmp_path).splitlines() == [
        "photos: 3 problems",
        f"  cats/01.png: {decode}",
        "  dogs/02.png: an image must not be empty; the file has 0 bytes",
        f"  dogs/03.png: {size}",
        "`cnncli datasets check photos` checks every file; set `on_error: skip` under `data` to skip such files",
    ]


def test_one_cause_of_many_problems_is_told_once(tmp_path):
    classes(tmp_path / "photos", count=15)
    for file in (tmp_path / "photos").rglob("*.png"):
        file.with_suffix(".svg").write_text("")
    for call in (describe, load):
        lines = message(tmp_path, call=call).splitlines()
        assert lines[0] == "photos: 30 problems"
        assert lines[1] == f"  30 files, such as cats/00.svg: an image must be {READ}; received .svg"
        assert len(lines) == 3  # with the advice


def test_skipping_leaves_them_out_and_lists_them(tmp_path):
    spoil(tmp_path)
    (tmp_path / "photos/cats/x.svg").write_text("")
    made = load(section(on_error="skip"), tmp_path)
    assert made.train.document()["files"] == [
        *("cats/00.png", "cats/02.png", "cats/03.png"),
        *("dogs/00.png", "dogs/01.png"),
    ]
    assert [problem.file for problem in made.skipped] == ["cats/01.png", "cats/x.svg", "dogs/02.png", "dogs/03.png"]
    assert pixel(made, "train") == [[0, 100], [20, 100], [30, 100], [0, 101], [10, 101]]


def test_a_class_of_which_nothing_can_be_read_is_an_error_even_so(tmp_path):
    classes(tmp_path / "photos", count=2)
    for file in (tmp_path / "photos/dogs").iterdir():
        file.write_text("")
    assert "train dogs: a class must have at least one image that can be read" in message(tmp_path, on_error="skip")


def test_the_first_image_that_can_be_read_gives_the_size_where_others_are_skipped(tmp_path):
    classes(tmp_path / "photos")
    (tmp_path / "photos/cats/00.png").write_text("text")
    assert "cats/00.png: an image must be PNG" in message(tmp_path, call=describe)
    assert describe(section(on_error="skip"), tmp_path).input_shape == (6, 4, 3)


def test_an_empty_class_is_told_before_anything_is_decoded(tmp_path):
    classes(tmp_path / "photos")
    (tmp_path / "photos/owls").mkdir()
    assert "  owls: a class must have at least one image\n" in message(tmp_path, call=describe, on_error="skip")


@pytest.mark.parametrize(
    ("options", "key", "said"),
    [
        ({"test_split": 0.5}, "test_split", "test_split must be omitted because the folder has its own test images"),
        ({"validation_split": 0.9}, "validation_split", "train has none of 'cats' (4 in total), 'dogs' (4 in total)"),
    ],
)
def test_shares_that_can_not_be_are_told_with_their_key(tmp_path, options, key, said):
    for name, count in (("train", 4), ("test", 2)):
        classes(tmp_path / "photos" / name, count=count)
    for call in (describe, load):
        with pytest.raises(DeclarationError) as caught:
            call(section(**options), tmp_path)
        assert said in str(caught.value)
        assert caught.value.key == key


def test_a_models_other_size_suggests_image_size(tmp_path):
    classes(tmp_path / "photos")
    with pytest.raises(DeclarationError) as caught:
        describe(section(), tmp_path, (32, 32, 3))
    assert str(caught.value) == (
        "images are 6 × 4 (cats/00.png), but the model's input_shape is [32, 32, 3]; "
        "set `image_size: [32, 32]` under `data` to resize them"
    )


@pytest.mark.parametrize("dataset", ["mnist5k", "synthetic", "own.npz"])
@pytest.mark.parametrize("call", [describe, load])
def test_options_of_folders_are_refused_for_arrays(tmp_path, dataset, call):
    np.savez(tmp_path / "own.npz", x_train=np.zeros((4, 5, 5), np.uint8), y_train=np.arange(4))
    with pytest.raises(DeclarationError) as caught:
        call(DataSection(dataset=dataset, image_size=[8, 8]), tmp_path)
    assert str(caught.value).startswith("image_size is only for folders of images; ")
    assert caught.value.key == "image_size"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "only one of crop_to_aspect_ratio and pad_to"),
        ({"validation_split": 0.5, "test_split": 0.5}, "must add up to less than 1"),
        ({"color_mode": "grey"}, "color_mode must be one of rgb, grayscale"),
        ({"image_size": [0, 4]}, "image_size.* must be"),
        ({"interpolation": "cubic"}, "interpolation must be one of bilinear, nearest, bicubic, area, lanczos3"),
    ],
)
def test_options_that_can_not_be_are_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        section(**options)


def test_the_digest_follows_pixels_names_and_classes_and_no_time(tmp_path):
    root = classes(tmp_path / "photos", count=2)
    first = load(section(), tmp_path).digest
    (root / "cats/00.png").touch()
    assert load(section(), tmp_path).digest == first
    Image.new("RGB", (4, 6), (1, 2, 3)).save(root / "cats/00.png")
    changed = load(section(), tmp_path).digest
    (root / "cats/00.png").rename(root / "dogs/02.png")
    assert len({first, changed, load(section(), tmp_path).digest}) == 3


def test_loading_a_second_time_decodes_nothing(tmp_path, monkeypatch):
    classes(tmp_path / "photos")
    load(section(validation_split=0.25), tmp_path)
    monkeypatch.setattr(load_images.image_cache, "decode", None)
    assert len(load(section(validation_split=0.5), tmp_path).validation) == 4
