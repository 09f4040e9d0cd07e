"""Detection sets: what is said of them, and the classification sets that their boxes make."""

import json

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.describe import describe, find
from cnncli.datasets.inspect.inspect_folder import inspect_folder
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError, DeclarationError
from cnncli.layers.declarations.validation_errors import ValidationError
from tests.cli.test_train import cnncli
from tests.datasets.photos import classes, picture
from tests.datasets.test_layouts import CLASSES, drawing

SIZE = 12


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


def scenes(count, seed=0):
    """Pictures of 30 × 40 with one or two shapes on noise, and the class number and box (left, top, right, bottom) of
    each shape.
    """
    generator = np.random.default_rng(seed)
    for i in range(count):
        canvas = generator.integers(0, 60, (30, 40, 3)).astype(np.uint8)
        objects = []
        for place in range(1 + i % 2):
            number, left, top = int(generator.integers(2)), 20 * place + int(generator.integers(8)), i % 18
            canvas[top : top + SIZE, left : left + SIZE] = drawing(number, generator)
            objects.append((number, (left, top, left + SIZE, top + SIZE)))
        yield f"img{i:03}", canvas, objects


def save(canvas, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(canvas).save(path)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def coco(folder, scene, file, images):
    """Write a COCO set: its JSON is `file`, images are in the folder `images`."""
    entries, annotations = [], []
    for number, (name, canvas, objects) in enumerate(scene):
        save(canvas, folder / images / f"{name}.jpg")
        entries.append({"id": number, "file_name": f"{name}.jpg", "width": 40, "height": 30})
        for label, (left, top, right, bottom) in objects:
            box = [left, top, right - left, bottom - top]
            own = {"id": len(annotations), "image_id": number, "category_id": 10 + label, "bbox": box, "iscrowd": 0}
            annotations.append(own)
    categories = [{"id": 7, "name": "none"}, *({"id": 10 + i, "name": name} for i, name in enumerate(CLASSES))]
    write(folder / file, json.dumps({"images": entries, "annotations": annotations, "categories": categories}))


def voc_object(label, box, more=""):
    sides = zip(("xmin", "ymin", "xmax", "ymax"), (box[0] + 1, box[1] + 1, box[2], box[3]), strict=True)
    boxed = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"<object><name>{label}</name>{more}<bndbox>{boxed}</bndbox></object>"


def voc(folder, scene, xml, images):
    for name, canvas, objects in scene:
        save(canvas, folder / images / f"{name}.jpg")
        parts = "".join(voc_object(CLASSES[label], box) for label, box in objects)
        write(folder / xml / f"{name}.xml", f"<annotation><filename>{name}.jpg</filename>{parts}</annotation>")


def yolo(folder, scene, labels, images):
    for name, canvas, objects in scene:
        save(canvas, folder / images / f"{name}.jpg")
        lines = [
            f"{label} {(left + right) / 80} {(top + bottom) / 60} {(right - left) / 40} {(bottom - top) / 30}"
            for label, (left, top, right, bottom) in objects
        ]
        write(folder / labels / f"{name}.txt", "\n".join(lines) + "\n")


def table(folder, scene, file, images):
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for name, canvas, objects in scene:
        save(canvas, folder / images / f"{name}.jpg")
        rows += [f"{name}.jpg,40,30,{CLASSES[label]},{','.join(map(str, box))}" for label, box in objects]
    write(folder / file, "\n".join(rows) + "\n")


def made(root, kind):
    """A set of the kind, with 40 images to train on and, where it has splits, 12 for the test."""
    train, test = scenes(40), scenes(12, seed=1)
    writer, annotations, images = KINDS[kind]
    if "{}" not in annotations + images:
        writer(root, train, annotations, images)
    else:
        for scene, split in ((train, "train"), (test, "test")):
            writer(root, scene, annotations.format(split), images.format(split))
    if writer is yolo:
        names = f"names: [{', '.join(CLASSES)}]\n" if "roboflow" in kind else "names:\n  0: disk\n  1: frame\n"
        name = {"YOLO beside": "classes.txt"}.get(kind, "data.yaml")
        write(root / name, "\n".join(CLASSES) if name == "classes.txt" else f"train: ../train/images\nnc: 2\n{names}")
    return train


KINDS = {
    "COCO": (coco, "annotations/instances_{}2017.json", "{}2017"),
    "COCO roboflow": (coco, "{}/_annotations.coco.json", "{}"),
    "COCO one": (coco, "annotations/instances_default.json", "images"),
    "Pascal VOC": (voc, "Annotations", "JPEGImages"),
    "Pascal VOC roboflow": (voc, "{}", "{}"),
    "YOLO": (yolo, "labels/{}", "images/{}"),
    "YOLO roboflow": (yolo, "{}/labels", "{}/images"),
    "YOLO beside": (yolo, "", ""),
    "a table": (table, "{}/_annotations.csv", "{}"),
    "a table of all": (table, "annotations.csv", "images"),
}


def called(kind):
    return next(name for name in ("COCO", "Pascal VOC", "YOLO", "a table") if kind.startswith(name))


@pytest.mark.parametrize("kind", KINDS)
def test_a_detection_set_is_answered_in_one_line_and_its_boxes_are_trained_on(tmp_path, kind):
    root = tmp_path / "own"
    made(root, kind)
    said = (
        f"{root} is a detection set ({called(kind)}), and cnncli trains classifiers and segmenters, which predict no "
        "boxes: to classify the content of each box, set `crop_boxes: true` and image_size under `data`"
    )
    with pytest.raises(DeclarationError) as caught:
        describe(DataSection(dataset="own"), tmp_path)
    assert str(caught.value) == said
    assert cnncli(tmp_path, "datasets", "check", "own").stderr == f"error: {said}\n"
    done = cnncli(tmp_path, "init", "--data", "own")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "own.yaml").read_text()
    assert "\n  crop_boxes: true\n" in text
    assert f"  # each box of the detection set ({called(kind)}) is an image: disk " in text
    (tmp_path / "own.yaml").write_text(text.replace("# expect:", "expect:").replace("#   test_", "  test_"))
    done = cnncli(tmp_path, "train", "own.yaml", "--output", "run", "--epochs", "12")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["COCO one", "Pascal VOC", "YOLO beside", "a table of all"])
def test_a_box_has_the_pixels_and_the_class_of_its_object(tmp_path, kind):
    root = tmp_path / "own"
    made(root, kind)
    for path in root.rglob("*.jpg"):  # lossless, to compare
        path.unlink()
    folder = KINDS[kind][2]
    for name, canvas, _ in scenes(40):
        save(canvas, root / folder / f"{name}.png")
    for path in root.rglob("*.json"):
        path.write_text(path.read_text().replace(".jpg", ".png"))
    for path in root.rglob("*.csv"):
        path.write_text(path.read_text().replace(".jpg", ".png"))
    found = load(DataSection(dataset="own", crop_boxes=True, image_size=[SIZE, SIZE]), tmp_path)
    assert found.classes == CLASSES
    expected = {
        f"{folder}/{name}.png#{number}".lstrip("/"): (label, canvas[top:bottom, left:right])
        for name, canvas, objects in scenes(40)
        for number, (label, (left, top, right, bottom)) in enumerate(objects, start=1)
    }
    assert sorted(found.train.files) == sorted(expected)
    for row, name in enumerate(found.train.files):
        assert found.train.y[row] == expected[name][0]
        assert np.array_equal(found.train.x[row], expected[name][1])
    again = load(DataSection(dataset="own", crop_boxes=True, image_size=[SIZE, SIZE]), tmp_path)
    assert again.digest == found.digest


def test_boxes_of_an_image_stay_in_one_split(tmp_path):
    made(tmp_path / "own", "COCO one")
    data = DataSection(dataset="own", crop_boxes=True, image_size=[12, 12], validation_split=0.2, test_split=0.2)
    found = load(data, tmp_path)
    images = [{split.files[row].partition("#")[0] for row in split.numbers} for split in found.splits.values()]
    assert [len(part) for part in images] == [23, 8, 9]
    assert not images[0] & images[1] | images[0] & images[2] | images[1] & images[2]


def test_lists_of_pascal_voc_are_its_splits(tmp_path):
    root = tmp_path / "own/VOC2007"
    made(root, "Pascal VOC")
    for name, numbers in (("train", range(20)), ("val", range(20, 30)), ("trainval", range(30))):
        write(root / f"ImageSets/Main/{name}.txt", "".join(f"img{i:03}\n" for i in numbers))
    write(root / "ImageSets/Main/disk_train.txt", "img000 -1\n")
    found = describe(DataSection(dataset="own", crop_boxes=True, image_size=[12, 12]), tmp_path)
    assert found.samples == {"train": 30, "validation": 15}


def problems(root, **options):
    with pytest.raises(CnncliError) as caught:
        load(DataSection(dataset=str(root), crop_boxes=True, image_size=[8, 8], **options), root)
    return [line.strip() for line in str(caught.value).replace(f"{root.parent}/", "").splitlines()]


def test_boxes_that_can_not_be_used_are_named_and_may_be_skipped(tmp_path):
    root = tmp_path / "own"
    coco(root, list(scenes(20)), "annotations/instances_train.json", "train")
    file = root / "annotations/instances_train.json"
    told = json.loads(file.read_text())
    changes = [
        {"bbox": [0, 0, 0, 5]},
        {"iscrowd": 1},
        {"bbox": [0, 0, "x", 5]},
        {"bbox": [1, 2, 3]},
        {"category_id": 99},
        {"image_id": 99},
        {"bbox": [30, 2, 15, 5]},
        {"bbox": [30, 2, 11, 5]},
    ]
    for annotation, change in zip(told["annotations"], changes, strict=False):
        annotation.update(change)
    file.write_text(json.dumps(told).replace('"x"', "NaN"))
    listing = find(DataSection(dataset="own", crop_boxes=True, image_size=[8, 8]), tmp_path).listing()
    assert [str(problem) for problem in listing.problems] == [
        "annotations/instances_train.json: an annotation must have image_id, category_id and bbox; "
        "not enough values to unpack (expected 4, got 3)",
        "annotations/instances_train.json: an annotation must have image_id, category_id and bbox; "
        "it lacks or has a wrong 99",
        "train/img000.jpg#1: a box must have an area",
        "train/img001.jpg#1: a box must not be of a crowd (iscrowd: 1)",
        "train/img001.jpg#2: a box must be of finite numbers",
    ]
    found = load(DataSection(dataset="own", crop_boxes=True, image_size=[8, 8], on_error="skip"), tmp_path)
    said = {problem.file: problem.rule for problem in found.skipped}
    assert said["train/img004.jpg#1"] == (
        "a box must lie in its image, 30 × 40 (height × width); it is at 30, 2, 45, 7 (left, top, right, bottom)"
    )
    assert "train/img005.jpg#1" in found.train.files


def test_difficult_objects_are_problems(tmp_path):
    root = tmp_path / "own"
    voc(root, list(scenes(4)), "Annotations", "JPEGImages")
    parts = voc_object("disk", (0, 0, 5, 5), "<difficult>1</difficult><part><name>head</name></part>")
    write(root / "Annotations/img000.xml", f"<annotation>{parts}</annotation>")
    assert problems(root)[1] == "JPEGImages/img000.jpg#1: a box must not be marked as difficult"


ENTITIES = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;">]>
<annotation><object><name>&lol2;</name></object></annotation>"""
EXTERNAL = """<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<annotation><object><name>&x;</name></object></annotation>"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENTITIES, "must declare no entities"),
        (EXTERNAL, "must declare no entities"),
        ("<annotation>" * 40, "must be at most 32 elements deep"),
        ("<annotation><object>", "must be XML: no element found: line 1, column 20"),
        ("", "must be XML: no element found: line 1, column 0"),
        (f"<annotation><object><name>{'x' * 10_001}", "a text must have at most 10,000 characters"),
        (" " * ((4 << 20) + 1), "can't be read: it must hold at most 4,194,304 bytes"),
        ("<annotation><object><name>a</name></object></annotation>", "a box must be of numbers; received ''"),
    ],
)
def test_xml_of_strangers_is_read_within_limits(tmp_path, text, said):
    root = tmp_path / "own"
    voc(root, list(scenes(4)), "Annotations", "JPEGImages")
    (root / "Annotations/img001.xml").write_text(text)
    assert problems(root)[1] == f"Annotations/img001.xml: {said}"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../secret.jpg", "an image must be a path within the dataset; received '../secret.jpg'"),
        ("/etc/passwd", "an image must be a path within the dataset; received '/etc/passwd'"),
        ("nothing.jpg", "there is no image 'nothing.jpg' in the dataset"),
    ],
)
def test_images_outside_of_the_set_are_refused(tmp_path, name, said):
    root = tmp_path / "own"
    coco(root, list(scenes(4)), "annotations/instances_train.json", "train")
    picture(tmp_path / "secret.jpg")
    file = root / "annotations/instances_train.json"
    file.write_text(file.read_text().replace("img000.jpg", name))
    assert problems(root)[1] == f"annotations/instances_train.json: {said}"


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"images": [], "categories": [{}]}', "[]"])
def test_json_that_is_no_coco_is_named(tmp_path, text):
    root = tmp_path / "own"
    coco(root, list(scenes(4)), "annotations/instances_train.json", "train")
    (root / "annotations/instances_train.json").write_text(text)
    assert problems(root)[0].startswith(
        "own/annotations/instances_train.json: must be JSON with images, annotations and categories ("
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x 0.5 0.5 0.1 0.1", "a line must have a class number, and x, y, width and height of a box"),
        ("1 0.5 0.5 0.1", "a line must have a class number, and x, y, width and height of a box"),
        ("1 0.5 0.5 a 0.1", "a box must be of numbers; received 'a'"),
    ],
)
def test_lines_that_mark_nothing_are_named(tmp_path, line, said):
    root = tmp_path / "own"
    made(root, "YOLO")
    write(root / "labels/train/img003.txt", f"{line}\n")
    assert problems(root)[1] == f"labels/train/img003.txt:1: {said}"


def test_polygons_are_in_boxes_and_images_without_any_are_left_out(tmp_path):
    root = tmp_path / "own"
    made(root, "YOLO")
    write(root / "labels/train/img003.txt", "1 0.5 0.25 0.75 0.5 0.5 0.75\n")
    write(root / "labels/train/img004.txt", "")
    listing = find(DataSection(dataset="own", crop_boxes=True, image_size=[8, 8]), tmp_path).listing()
    assert listing.crops["images/train/img003.jpg#1"].box == (0.5, 0.25, 0.75, 0.75)
    assert listing.notes[0].endswith("in 52 images; 1 images without a box are left out")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "crop_boxes requires image_size"),
        ({"targets": "masks", "image_size": [8, 8]}, "crop_boxes requires class labels; remove it with"),
        ({"layout": "class_folders", "image_size": [8, 8]}, "crop_boxes requires `layout: auto`"),
        ({"label_from": "([a-z]+)_", "image_size": [8, 8]}, "crop_boxes takes classes from boxes: omit columns, label"),
        ({"columns": {"label": "a"}, "image_size": [8, 8]}, "crop_boxes takes classes from boxes: omit columns, label"),
    ],
)
def test_crop_boxes_goes_with_classes_and_a_size(arguments, said):
    with pytest.raises(ValidationError, match=said):
        DataSection(dataset="own", crop_boxes=True, **arguments)


def test_folders_of_classes_are_no_detection_set(tmp_path):
    classes(tmp_path / "own")
    for name, text in (("about.json", "{}"), ("classes.txt", "cats\ndogs\n"), ("meta.csv", "a,b\n1,2\n")):
        (tmp_path / "own" / name).write_text(text)
    (tmp_path / "own/cats/notes.txt").write_text("5 cats in 1 box with 2 toys")
    assert describe(DataSection(dataset="own", on_error="skip"), tmp_path).names == ("cats", "dogs")
    with pytest.raises(DeclarationError, match=r"crop_boxes requires a detection set .*; .*own is none"):
        describe(DataSection(dataset="own", crop_boxes=True, image_size=[8, 8]), tmp_path)


def test_a_model_of_boxes_is_evaluated_on_other_sets_and_on_folders_of_classes(tmp_path):
    made(tmp_path / "own", "COCO")
    made(tmp_path / "other", "COCO one")
    generator = np.random.default_rng(5)
    for i in range(8):
        save(drawing(i % 2, generator), tmp_path / "folders" / CLASSES[i % 2] / f"{i}.png")
    spec = """\
data: {dataset: own, crop_boxes: true, image_size: [12, 12]}
model: {layers: [Flatten, Dense: {units: 2, activation: softmax}]}
compile: {optimizer: {Adam: {learning_rate: 0.01}}, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 8, batch_size: 8}
"""
    (tmp_path / "own.yaml").write_text(spec)
    assert cnncli(tmp_path, "train", "own.yaml", "--output", "run").returncode == 0
    for name, count in (("other", 60), ("folders", 8)):
        done = cnncli(tmp_path, "evaluate", "run", "--data", name, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert (found["samples"], found["accuracy"] > 0.9) == (count, True), found


def test_boxes_are_inspected_as_images(tmp_path):
    root = tmp_path / "own"
    voc(root, list(scenes(8)), "Annotations", "JPEGImages")
    twice = voc_object("disk", (0, 0, 12, 12)) + voc_object("frame", (0, 0, 12, 12)) + voc_object("disk", (0, 0, 99, 1))
    write(root / "Annotations/img000.xml", f"<annotation>{twice}</annotation>")
    data = DataSection(dataset="own", crop_boxes=True, image_size=[8, 8])
    found = inspect_folder(find(data, tmp_path), "own", data)
    assert found.sizes == {(12, 12): 13}
    assert found.alike.same_bytes == [["JPEGImages/img000.jpg#1", "JPEGImages/img000.jpg#2"]]
    assert [problem.file for problem in found.problems] == ["JPEGImages/img000.jpg#3"]
    assert found.pictures.image("JPEGImages/img000.jpg#1").shape == (12, 12, 3)


def test_files_that_are_no_images_to_read_are_named(tmp_path):
    root = tmp_path / "own"
    voc(root, list(scenes(6)), "Annotations", "JPEGImages")
    (root / "JPEGImages/img000.jpg").rename(root / "JPEGImages/img000.psd")
    for folder, ending in (("JPEGImages", "jpg"), ("Annotations", "xml")):
        (root / folder / f"img001.{ending}").rename(root / folder / f"img\n001.{ending}")
    said = problems(root)
    assert said[1] == "'JPEGImages/img\\n001.jpg': the name of an image must be printable UTF-8"
    assert said[2].startswith("JPEGImages/img000.psd: an image must be ")
