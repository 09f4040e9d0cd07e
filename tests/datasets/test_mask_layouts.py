"""Folders of images and masks as people have them: how they are paired, what is said, what a small network learns."""

import re

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.describe import describe, find
from cnncli.datasets.layouts.mask_names import meaning
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError
from cnncli.layers.declarations.validation_errors import ValidationError
from tests.cli.test_train import cnncli
from tests.datasets.photos import picture
from tests.datasets.test_layouts import drawing


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


def saved(array, path, palette=None):
    """Write an image; with a palette, its numbers as places in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette is not None:
        image.putpalette([level for color in palette for level in color])
    image.save(path)


def drawn(root, images, masks, count=12, *, start=0, colors=None):
    """Write `count` pictures and their masks: 0 around a shape, 1 on it. The names have a place for a number.

    `colors`: of the two classes, where masks are in colors.
    """
    generator = np.random.default_rng(start)
    for i in range(start, start + count):
        pixels = drawing(i % 2, generator)
        shape = (pixels.min(axis=2) >= 150).astype(np.uint8)
        saved(pixels, root / images.format(f"a{i:03}"))
        saved(shape if colors is None else np.uint8(colors)[shape], root / masks.format(f"a{i:03}"))


def within(name, split):
    """A name of an entry of PAIRS or SPLITS, with the place for a number alone."""
    return name.format(split) if "{{" in name else name


def samples(root, **options):
    return describe(DataSection(dataset=str(root), **{"targets": "masks", **options}), root).samples


def message(root, **options):
    with pytest.raises(CnncliError) as caught:
        load(DataSection(dataset=str(root), **{"targets": "masks", **options}), root)
    return str(caught.value).replace(f"{root.parent}/", "")


def notes(root, **options):
    return list(load(DataSection(dataset=str(root), **{"targets": "masks", **options}), root).notes)


SPEC = """\
data: {{dataset: {dataset}, targets: masks{data}}}
model: {{layers: [Conv2D: {{filters: 2, kernel_size: 1, activation: softmax}}]}}
compile:
  optimizer: {{Adam: {{learning_rate: 0.1}}}}
  loss: sparse_categorical_crossentropy
  metrics: [MeanIoU]
fit: {{epochs: 8, batch_size: 8}}
expect: {{{split}_mean_io_u: ">= 0.9"}}
"""


def trained(folder, *, data="", split="test"):
    """Train on the folder `own` for some epochs, at the end of which the test must be passed; what is printed."""
    (folder / "own.yaml").write_text(SPEC.format(dataset="own", data=data, split=split))
    done = cnncli(folder, "train", "own.yaml", "--output", "run")
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("masks", ("", "mask")),
        ("Ground Truth", ("", "mask")),
        ("ground_truth", ("", "mask")),
        ("SegmentationClassPNG", ("", "mask")),
        ("JPEGImages", ("", "image")),
        ("leftImg8bit", ("", "image")),
        ("IMG", ("", "image")),
        ("trainannot", ("train", "mask")),
        ("val_labels", ("validation", "mask")),
        ("train_images", ("train", "image")),
        ("annotations_prepped_test", ("test", "mask")),
        ("testing", ("test", "")),
        ("y", ("", "mask")),
        ("cats", ("", "")),
        ("with_mask", ("", "")),
        ("seg_train", ("", "")),
        ("2017", ("", "")),
    ],
)
def test_names_of_folders_are_read_as_words(name, said):
    assert meaning(name)[:2] == said


PAIRS = [
    ("images/{}.jpg", "masks/{}.png"),
    ("img/{}.png", "label/{}.png"),
    ("Imgs/{}.png", "GT/{}.png"),
    ("x/{}.png", "y/{}.png"),
    ("images/{}.jpg", "annotations/trimaps/{}.png"),
    ("images/{}.jpg", "masks/{}_mask.png"),
    ("images/{}.png", "labels/{}_L.png"),
    ("images/{}.png", "labels/{}_P.png"),
    ("images/{}.png", "masks/{}_seg0.png"),
    ("images/{}.png", "masks/mask_{}.png"),
    ("images/image_{}.png", "masks/mask_{}.png"),
    ("images/{}_sat.jpg", "masks/{}_mask.png"),
    ("ISIC/images/{}.jpg", "ISIC/masks/{}_segmentation.png"),
    ("images/park/{}.jpg", "masks/park/{}.png"),
    ("images/image/{}.png", "masks/image/{}.png"),
    ("{}.jpg", "{}_L.png"),
    ("{}.jpg", "{}_seg0.png"),
    ("{}.jpg", "mask_{}.png"),
]


@pytest.mark.parametrize(("images", "masks"), PAIRS)
def test_images_and_masks_are_paired(tmp_path, images, masks):
    root = tmp_path / "own"
    drawn(root, images, masks, 3)
    listing = find(DataSection(dataset="own", targets="masks"), tmp_path).listing()
    assert {f"{listing.root}/{image}": f"{listing.root}/{mask}" for image, mask in listing.masks.items()} == {
        f"{root}/{images.format(name)}": f"{root}/{masks.format(name)}" for name in ("a000", "a001", "a002")
    }
    assert (list(listing.problems), list(listing.faults)) == ([], [])


SPLITS = [
    ("{}/images/{{}}.png", "{}/masks/{{}}.png"),
    ("images/{}/{{}}.png", "masks/{}/{{}}.png"),
    ("{}/{{}}.png", "{}annot/{{}}.png"),
    ("{}/{{}}.png", "{}_labels/{{}}_L.png"),
    ("images_prepped_{}/{{}}.png", "annotations_prepped_{}/{{}}.png"),
    (
        "leftImg8bit/{}/aachen/aachen_{{}}_leftImg8bit.png",
        "gtFine/{}/aachen/aachen_{{}}_gtFine_labelIds.png",
    ),
]


@pytest.mark.parametrize(("images", "masks"), SPLITS)
def test_splits_inside_outside_and_in_the_names_are_trained_on(tmp_path, images, masks):
    root = tmp_path / "own"
    for start, (split, count) in enumerate({"train": 24, "val": 6, "test": 6}.items()):
        drawn(root, images.format(split), masks.format(split), count, start=100 * start)
    assert samples(root) == {"train": 24, "validation": 6, "test": 6}
    _, text, iou = begun(tmp_path)
    said = min(find(DataSection(dataset="own", targets="masks"), tmp_path).listing().masks.items())
    assert "  # {} has the mask {}\n  targets: masks\n".format(*said) in text
    assert "_split:" not in text
    assert iou > 0.9


VOID = [[0, 0, 0], [128, 0, 0], *[[9, 9, 9]] * 253, [224, 224, 192]]


def voc(root, counts, listed):
    """Pascal VOC: masks with a palette, void at borders, and lists of the images that have masks."""
    drawn(root, "JPEGImages/{}.png", "SegmentationClass/{}.png", sum(counts))
    for path in sorted((root / "SegmentationClass").iterdir()):
        numbers = np.array(Image.open(path))
        numbers[0] = 255
        saved(numbers, path, VOID)
        saved(numbers, root / "SegmentationObject" / path.name, VOID)
    picture(root / "JPEGImages/unlabelled.png", size=(12, 12))
    (root / "Annotations").mkdir()
    (root / "Annotations/a000.xml").write_text("<annotation/>")
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    names, start = sorted(path.stem for path in (root / "SegmentationClass").iterdir()), 0
    for name, count in zip(listed, counts, strict=True):
        (root / f"ImageSets/Segmentation/{name}.txt").write_text("\n".join(names[start : start + count]) + "\n")
        start += count
    (root / "ImageSets/Segmentation/trainval.txt").write_text("\n".join(names) + "\n")


def test_pascal_voc_is_read_by_its_lists_and_void_is_told(tmp_path):
    root = tmp_path / "own/VOCdevkit/VOC2012"
    voc(root, (24, 8), ("train", "val"))
    assert samples(tmp_path / "own") == {"train": 24, "validation": 8}
    told = [
        "splits are those of ImageSets/Segmentation/train.txt, ImageSets/Segmentation/val.txt",
        "masks are those in SegmentationClass; SegmentationObject is left out",
    ]
    assert notes(tmp_path / "own") == told
    (tmp_path / "own.yaml").write_text(SPEC.format(dataset="own", data="", split="val"))
    done = cnncli(tmp_path, "train", "own.yaml", "--output", "run")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "has 255: where 255 marks what no class is known of, write "
        "`loss: {sparse_categorical_crossentropy: {ignore_class: 255}}` (and give each class an output)"
    )
    spec = (tmp_path / "own.yaml").read_text()
    loss = "loss: {sparse_categorical_crossentropy: {ignore_class: 255}}"
    (tmp_path / "own.yaml").write_text(spec.replace("loss: sparse_categorical_crossentropy", loss))
    done = cnncli(tmp_path, "train", "own.yaml", "--output", "run")
    assert done.returncode == 0, done.stderr
    assert all(f"notice: {root}: {line}\n" in done.stderr for line in told)


def test_lists_are_of_paths_and_of_words_and_leave_out_what_they_do_not_name(tmp_path):
    root = tmp_path / "own"
    drawn(root, "images/{}.jpg", "annotations/trimaps/{}.png", 6)
    (root / "images/a000.mat").write_text("")
    (root / "annotations/list.txt").write_text("# Image CLASS-ID\na000 1 1 1\n")
    (root / "annotations/trainval.txt").write_text("a000 1 1 1\na001 2 1 1\n/SegNet/images/a002.jpg\n")
    (root / "annotations/test.txt").write_text("a003 1 1 1\n\n")
    assert samples(root) == {"train": 3, "test": 1}
    (root / "annotations/test.txt").write_text("a003\nb001\na002\n")
    assert message(root).splitlines()[:3] == [
        "own: 2 problems",
        "  annotations/test.txt:2: must name an image; received 'b001'",
        "  annotations/test.txt:3: an image must be in one split; images/a002.jpg is in two",
    ]


def test_images_of_a_test_without_masks_are_left_out_and_named(tmp_path):
    root = tmp_path / "own"
    drawn(root, "train/{}.jpg", "train_masks/{}_mask.png", 4)
    picture(root / "test/1.jpg")
    assert samples(root) == {"train": 4}
    said = "the images of test are left out, because they have no masks: predict them with `cnncli predict`"
    assert notes(root) == [said]


def test_what_else_shows_masks_is_left_out(tmp_path):
    root = tmp_path / "own"
    name = "val/aachen/{}"
    drawn(root, f"leftImg8bit/{name}_leftImg8bit.png", f"gtFine/{name}_gtFine_labelIds.png", 3)
    for ending in ("_gtFine_color.png", "_gtFine_instanceIds.png"):
        picture(root / f"gtFine/{name.format('a000')}{ending}")
    (root / f"gtFine/{name.format('a000')}_gtFine_polygons.json").write_text("{}")
    listing = find(DataSection(dataset="own", targets="masks"), tmp_path).listing()
    assert len(listing.masks) == 3
    said = "2 files that show masks otherwise are left out, such as gtFine/val/aachen/a000_gtFine_color.png"
    assert (list(listing.problems), listing.notes) == ([], [said])
    saved(np.zeros((12, 12), np.uint8), root / f"gtFine/{name.format('a000')}_gtFine_labelTrainIds.png")
    listing = find(DataSection(dataset="own", targets="masks"), tmp_path).listing()
    assert sorted(listing.masks.values())[0].endswith("a000_gtFine_labelTrainIds.png")


def test_two_folders_of_masks_are_asked_about(tmp_path):
    root = tmp_path / "own"
    drawn(root, "images/{}.jpg", "masks/{}.png", 3)
    drawn(root, "images/{}.jpg", "labels/{}.png", 3)
    assert message(root) == (
        "own: masks may be those in labels or masks: move the folder that is not meant out of the dataset"
    )


def test_masks_and_images_without_a_partner_are_named(tmp_path):
    root = tmp_path / "own"
    drawn(root, "train/img/{}.jpg", "train/gt/{}_mask.png", 4)
    (root / "train/gt/a000_mask.png").unlink()
    (root / "train/img/a001.jpg").unlink()
    saved(np.zeros((12, 12), np.uint8), root / "train/gt/a002_label.png")
    picture(root / "train/sample.png")
    assert message(root).splitlines()[:5] == [
        "own: 4 problems",
        "  train/sample.png: must be in images or masks",
        "  train/gt/a002_mask.png: an image must have one mask; train/img/a002.jpg has train/gt/a002_label.png",
        "  train/img/a000.jpg: an image must have a mask, train/gt/a000.png",
        "  train/gt/a001_mask.png: a mask must have an image in images",
    ]


@pytest.mark.parametrize(
    ("images", "masks"), [SPLITS[0], SPLITS[2], SPLITS[5], ("JPEGImages/{}.png", "SegmentationClass/{}.png")]
)
def test_masks_are_no_classes_and_are_recognized_by_check(tmp_path, images, masks):
    root = tmp_path / "own"
    for split in ("train", "val"):
        drawn(root, within(images, split), within(masks, split), 3)
    assert message(root, targets="labels").splitlines()[1] == (
        "  .: holds images and masks, not classes: set `targets: masks` under `data`"
    )
    done = cnncli(tmp_path, "datasets", "check", "own")
    assert "images with masks" in done.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("images", "masks"), [("images/{}.jpg", "labels/{}.png"), SPLITS[2], ("{}.jpg", "{}_mask.png")]
)
def test_an_autoencoder_is_not_trained_on_masks(tmp_path, images, masks):
    root = tmp_path / "own"
    drawn(root, within(images, "train"), within(masks, "train"), 4)
    found = load(DataSection(dataset="own", targets="input"), tmp_path)
    assert len(found.train) == 4
    first = within(masks, "train").format("a000")
    assert found.notes == [f"4 masks are left out, such as {first}: train on them with `targets: masks`"]


COLORS = {"background": [0, 0, 0], "shape": [192, 0, 64]}


@pytest.mark.parametrize("given", ["palette", "class_dict.csv"])
def test_colors_have_the_names_of_classes(tmp_path, given):
    root = tmp_path / "own"
    for start, (split, count) in enumerate({"train": 24, "val": 6, "test": 6}.items()):
        drawn(
            root, f"{split}/{{}}.png", f"{split}_labels/{{}}_L.png", count, start=100 * start, colors=[*COLORS.values()]
        )
    if given == "palette":
        told = trained(tmp_path, data=f", palette: {COLORS}".replace("'", ""))
    else:
        (root / given).write_text("name, r, g, b\nbackground,0,0,0\nshape,192,0,64\n")
        told = trained(tmp_path)
        said = "classes and their colors are those of class_dict.csv: 0 background, 1 shape"
        assert f"notice: {root}: {said}\n" in told
        assert f"  {said}\n" in cnncli(tmp_path, "datasets", "check", "own").stdout
    done = cnncli(tmp_path, "evaluate", "run")
    assert "background" in done.stdout and "shape" in done.stdout
    done = cnncli(tmp_path, "predict", "run", "own/test/a200.png", "--json")
    assert done.returncode == 0, done.stderr


def test_a_palette_names_its_classes_but_for_void(tmp_path):
    root = tmp_path / "own"
    drawn(root, "images/{}.png", "masks/{}.png", 4, colors=[*COLORS.values()])
    data = DataSection(dataset="own", targets="masks", palette={**COLORS, "void": [255, 255, 255]})
    assert load(data, tmp_path).classes == ("background", "shape", "void")
    assert load(data, tmp_path, void=2).classes == ("background", "shape")
    assert load(DataSection(**{**data.plain(), "palette": list(COLORS.values())}), tmp_path).classes == ("0", "1")
    assert DataSection(**data.plain()) == data


def test_a_table_of_classes_names_those_of_masks_with_numbers(tmp_path):
    root = tmp_path / "own"
    drawn(root, "images/{}.png", "masks/{}.png", 4)
    (root / "classes.csv").write_text("name,r,g,b\nbackground,0,0,0\nshape,1,2,3\nother,4,5,6\n")
    assert load(DataSection(dataset="own", targets="masks"), tmp_path).classes == ("background", "shape", "other")


@pytest.mark.parametrize(
    "line", ["shape,1,2", "shape,1,2,256", ",1,2,3", "background,1,2,3", "shape,0,0,0", "shape,1,2,-3"]
)
def test_a_table_of_classes_gives_each_a_color(tmp_path, line):
    root = tmp_path / "own"
    drawn(root, "images/{}.png", "masks/{}.png", 2)
    (root / "class_dict.csv").write_text(f"name,r,g,b\nbackground,0,0,0\n{line}\n")
    assert message(root) == "own/class_dict.csv: line 3 must have a name and r, g, b from 0 to 255, and each once"


@pytest.mark.parametrize(
    ("palette", "said"),
    [
        ({"a": [0, 0, 0]}, "palette must be a list of 2 to 256 items"),
        ({"a": [0, 0, 0], "": [1, 1, 1]}, "palette must be a list of 2 to 256 items"),
        ({"a": [0, 0, 0], "b": [0, 0, 256]}, r"palette\.b\.2 must be a list .* or a mapping of classes to such colors"),
        ({"a": [0, 0, 0], "b": [0, 0, 0]}, "palette must have each color once"),
    ],
)
def test_a_palette_that_is_a_mapping_is_checked(palette, said):
    with pytest.raises(ValidationError, match=said):
        DataSection(dataset="own", targets="masks", palette=palette)


def begun(folder, *options):
    """Write a spec for the folder `own` and train it for some epochs; what init printed, the spec, the test's IoU."""
    done = cnncli(folder, "init", "--data", "own", *options)
    assert done.returncode == 0, done.stderr
    text = (folder / "own.yaml").read_text()
    found = cnncli(folder, "train", "own.yaml", "--epochs", "15", "--output", "run")
    assert found.returncode == 0, found.stderr
    iou = re.search(r"test .* mean_io_u (\S+)", found.stdout + found.stderr)
    return done.stdout.splitlines(), text, float(iou[1])


def test_init_writes_a_segmenter(tmp_path):
    drawn(tmp_path / "own", "images/{}.png", "masks/{}_mask.png", 40)
    said, text, iou = begun(tmp_path)
    assert said[:3] == [
        "own: 40 images with masks, 2 classes of pixels",
        "  images/a000.png has the mask masks/a000_mask.png",
        "  classes: 0, 1",
    ]
    assert "U-Net network for 12 × 12 × 3" in said[4]
    assert "  # images/a000.png has the mask masks/a000_mask.png\n  targets: masks\n" in text
    assert "  metrics: [accuracy, MeanIoU]" in text
    assert iou > 0.9
    refused = cnncli(tmp_path, "init", "--data", "own", "--model", "vgg", "--force")
    assert refused.stderr == "error: own: images with masks need a U-Net, which init writes without --model\n"


def test_init_ignores_the_void_of_pascal_voc(tmp_path):
    voc(tmp_path / "own/VOC2012", (30, 10), ("train", "val"))
    _, text, iou = begun(tmp_path)
    assert "  loss: {sparse_categorical_crossentropy: {ignore_class: 255}} #" in text
    assert "  # splits are those of ImageSets/Segmentation/train.txt, ImageSets/Segmentation/val.txt\n" in text
    assert "filters: 2, kernel_size: 1" in text
    assert iou > 0.9


@pytest.mark.parametrize("table", ["", "name,r,g,b\nbackground,0,0,0\nshape,192,0,64\nVoid,9,9,9\n"])
def test_init_lists_the_colors_of_masks_or_reads_their_table(tmp_path, table):
    drawn(tmp_path / "own", "images/{}.png", "masks/{}.png", 40, colors=[*COLORS.values()])
    if table:
        (tmp_path / "own/class_dict.csv").write_text(table)
    _, text, iou = begun(tmp_path)
    assert ("  palette: " in text) is not bool(table)
    assert ("    - [0, 0, 0]\n    - [192, 0, 64]\n" in text) is not bool(table)
    assert ("{ignore_class: 2}" in text) is bool(table)
    assert iou > 0.9


def test_init_resizes_to_what_can_be_halved_twice(tmp_path):
    drawn(tmp_path / "own", "{}.png", "{}_mask.png", 12)
    for path in (tmp_path / "own").iterdir():
        Image.open(path).crop((0, 0, 11, 10)).save(path)
    cnncli(tmp_path, "init", "--data", "own")
    assert "  image_size: [8, 8] " in (tmp_path / "own.yaml").read_text()
    assert cnncli(tmp_path, "check", "own.yaml").returncode == 0


@pytest.mark.parametrize(
    ("table", "text"),
    [("codes.txt", "Wall\nshape\n"), ("_classes.csv", "Pixel Value, Class\n0, Wall\n1, shape\n")],
)
def test_names_of_numbers_are_read(tmp_path, table, text):
    root = tmp_path / "own"
    drawn(root, "train/{}.jpg", "train/{}_mask.png", 40)
    drawn(root, "valid/{}.jpg", "valid/{}_mask.png", 8, start=50)
    for split in ("train", "valid") if table.startswith("_") else [""]:
        (root / split / table).write_text(text)
    (root / "README.roboflow.txt").write_text("about")
    said = f"classes are those of {'train/' * table.startswith('_')}{table}: 0 Wall, 1 shape"
    found = load(DataSection(dataset="own", targets="masks"), tmp_path)
    assert (found.classes, found.notes, len(found.train)) == (("Wall", "shape"), [said], 40)
    lines, _, iou = begun(tmp_path)
    assert lines[3] == "  classes: Wall, shape"
    assert iou > 0.9


def test_numbers_of_classes_go_up_by_one(tmp_path):
    root = tmp_path / "own"
    drawn(root, "images/{}.jpg", "masks/{}.png", 2)
    (root / "_classes.csv").write_text("Pixel Value,Class\n0,a\n2,b\n")
    assert message(root) == "own/_classes.csv: line 3 must have the pixel value 1 and a class of its own"


def test_images_and_masks_in_one_folder_are_paired_by_both_affixes(tmp_path):
    root = tmp_path / "own"
    drawn(root, "train/{}_sat.jpg", "train/{}_mask.png", 4)
    for split in ("valid", "test"):
        picture(root / split / "a900_sat.jpg")
    assert samples(root) == {"train": 4}
    said = "the images of {} are left out, because they have no masks: predict them with `cnncli predict`"
    assert notes(root, image_size=[12, 12]) == [said.format("validation"), said.format("test")]


@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_init_takes_black_and_white_masks_for_two_classes(tmp_path, mode):
    drawn(tmp_path / "own", "images/{}.png", "masks/{}.png", 40)
    for path in (tmp_path / "own/masks").iterdir():
        Image.fromarray(np.array(Image.open(path)) * np.uint8(255)).convert(mode).save(path)
    _, text, iou = begun(tmp_path)
    assert "filters: 2, kernel_size: 1" in text
    assert "ignore_class" not in text
    assert "palette" not in text
    assert iou > 0.9


def test_check_tells_that_255_looks_like_void(tmp_path):
    voc(tmp_path / "own/VOC2012", (6, 4), ("train", "val"))
    said = "  255 looks like void: leave it out with `loss: {sparse_categorical_crossentropy: {ignore_class: 255}}`\n"
    assert said in cnncli(tmp_path, "datasets", "check", "own").stdout
    for path in (tmp_path / "own/VOC2012/SegmentationClass").iterdir():
        saved(np.zeros((12, 12), np.uint8), path)
    assert said not in cnncli(tmp_path, "datasets", "check", "own").stdout


def test_masks_beside_images_are_found_where_a_folder_is_called_labels(tmp_path):
    drawn(tmp_path / "own", "{}.jpg", "{}_mask.png", 3)
    (tmp_path / "own/labels").mkdir()
    (tmp_path / "own/labels/a000.txt").write_text("1 0.5 0.5 0.1 0.1")
    assert samples(tmp_path / "own") == {"train": 3}
