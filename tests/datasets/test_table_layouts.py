"""Tables of images as people have them: what is understood, and what a small network learns from it."""

import numpy as np
import pytest

from cnncli.datasets.describe import describe
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError
from tests.cli.test_train import cnncli
from tests.datasets.tables import dog_breeds, listed, pictures, write
from tests.datasets.test_layouts import CLASSES, drawing


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


def aptos(root):
    rows = pictures(root / "train_images", 40, name="{:012x}")
    pictures(root / "test_images", 4, name="f{:011x}")
    write(root / "train.csv", ("id_code", "diagnosis"), *((name, CLASSES.index(label)) for name, label in rows))
    write(root / "test.csv", ("id_code",), ("f" + "0" * 11,))
    write(root / "sample_submission.csv", ("id_code", "diagnosis"), ("f" + "0" * 11, 0))
    return "train.csv: file in column id_code, class in diagnosis; images in train_images/"


def plant_pathology(root):
    rows = pictures(root / "images", 40, name="Train_{}", ending=".jpg")
    pictures(root / "images", 40, name="Test_{}", ending=".jpg")
    shown = ((name, int(label == "disk"), int(label == "frame")) for name, label in rows)
    write(root / "train.csv", ("image_id", "healthy", "rust"), *shown)
    write(root / "test.csv", ("image_id",), ("Test_0",))
    return "train.csv: file in column image_id, classes in healthy, rust; images in images/"


def ham10000(root):
    rows = pictures(root / "HAM10000_images_part_1", 20, name="ISIC_00{:05}", ending=".jpg")
    rows += pictures(root / "HAM10000_images_part_2", 20, seed=1, name="ISIC_10{:05}", ending=".jpg")
    header = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
    cells = [(f"HAM_{i}", name, label, "histo", 80.0, "male", "scalp") for i, (name, label) in enumerate(rows)]
    write(root / "HAM10000_metadata.csv", header, *cells)
    return (
        "HAM10000_metadata.csv: file in column image_id, class in dx; images in HAM10000_images_part_1/ and "
        "HAM10000_images_part_2/; ignored: lesion_id, dx_type, age, sex, localization"
    )


def gtsrb(root):
    for split, count in (("Train", 40), ("Test", 8)):
        rows = pictures(root / split, count, seed=count)
        cells = [(12, 12, 1, 1, 11, 11, CLASSES.index(label), f"{split}/{name}.png") for name, label in rows]
        write(
            root / f"{split}.csv",
            ("Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId", "Path"),
            *cells,
        )
    return (
        "Train.csv: file in column Path, class in ClassId; images in Train/; ignored: Width, Height, Roi.X1, Roi.Y1, "
        "Roi.X2, Roi.Y2"
    )


def hugging_face(root):
    for split, count in (("train", 40), ("test", 8)):
        rows = pictures(root / split, count, seed=count)
        write(root / split / "metadata.csv", ("file_name", "label"), *((f"{name}.png", label) for name, label in rows))
    return "metadata.csv: file in column file_name, class in label"


def json_lines(root):
    for split, count in (("train", 40), ("test", 8)):
        rows = pictures(root / split, count, seed=count)
        lines = [f'{{"file_name": "{name}.png", "label": "{label}", "box": [1, 2]}}' for name, label in rows]
        (root / split / "metadata.jsonl").write_text("\n".join(lines))
    return "metadata.jsonl: file in column file_name, class in label; ignored: box"


def roboflow(root):
    for split, count in (("train", 40), ("valid", 8), ("test", 8)):
        rows = pictures(root / split, count, seed=count)
        shown = ((f"{name}.png", int(label == "disk"), int(label == "frame")) for name, label in rows)
        write(root / split / "_classes.csv", ("filename", " disk", " frame"), *shown)
    return "_classes.csv: file in column filename, classes in disk, frame"


def split_column(root):
    rows = pictures(root / "img", 60)
    splits = ["Training", "Training", "Training", "val", "test"]
    cells = [(f"img\\{name}.PNG", label, splits[i // 2 % 5]) for i, (name, label) in enumerate(rows)]
    write(root / "annotations.csv", ("Image Name", "Category", "Subset"), *cells, between=";")
    return "annotations.csv: file in column Image Name, class in Category, split in Subset; images in img/"


def a_table_a_split(root):
    for split, count in (("train", 40), ("val", 8), ("test", 8)):
        rows = pictures(root / "images", count, seed=count, name=f"{split}_{{}}")
        write(root / f"{split}.tsv", ("image", "species"), *rows, between="\t")
    return "train.tsv: file in column image, class in species; images in images/"


LAYOUTS = (
    *(dog_breeds, aptos, plant_pathology, ham10000, gtsrb, hugging_face, json_lines, roboflow, split_column),
    a_table_a_split,
)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_a_layout_is_said_and_what_init_writes_for_it_is_learned(tmp_path, layout):
    said = layout(tmp_path / "own")
    assert said in listed(tmp_path / "own").notes
    done = cnncli(tmp_path, "init", "--data", "own")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "own.yaml").read_text()
    assert f"  # {said}\n" in text
    (tmp_path / "own.yaml").write_text(text + '\nexpect: {test_accuracy: ">= 0.9"}\n')
    done = cnncli(tmp_path, "train", "own.yaml", "--epochs", 15, "--output", "run")
    assert done.returncode == 0, done.stderr
    assert f"notice: {tmp_path}/own: {said}\n" in done.stderr
    assert cnncli(tmp_path, "datasets", "check", "own").returncode == 0


def fer2013(root, usages=("Training",) * 6 + ("PublicTest", "PrivateTest"), count=40):
    """A table of grey pictures, all pixels of each in one cell."""
    generator, rows = np.random.default_rng(0), []
    for i in range(2 * count):
        pixels = " ".join(map(str, drawing(i % 2, generator)[..., 0].ravel()))
        rows.append((i % 2, pixels, usages[i // 2 % len(usages)]))
    write(root / "fer2013.csv", ("emotion", "pixels", "Usage"), *rows)
    return rows


def test_pixels_in_one_cell_are_images_of_the_split_beside_them(tmp_path):
    rows = fer2013(tmp_path)
    made = load(DataSection(dataset="fer2013.csv"), tmp_path)
    assert made.sizes == describe(DataSection(dataset="fer2013.csv"), tmp_path).samples
    assert made.sizes == {"train": 60, "validation": 10, "test": 10}
    for split, usage in (("train", "Training"), ("validation", "PublicTest"), ("test", "PrivateTest")):
        part, told = made.splits[split], [row for row in rows if row[2] == usage]
        assert part.y[part.numbers].tolist() == [label for label, _, _ in told]
        images = np.array([pixels.split() for _, pixels, _ in told], np.uint8).reshape(-1, 12, 12, 1)
        assert np.array_equal(part.x[part.numbers], images)
    assert cnncli(tmp_path, "init", "--data", "fer2013.csv").returncode == 0
    text = (tmp_path / "fer2013.yaml").read_text()
    (tmp_path / "fer2013.yaml").write_text(text + '\nexpect: {test_accuracy: ">= 0.9"}\n')
    done = cnncli(tmp_path, "train", "fer2013.yaml", "--epochs", 15, "--output", "run")
    assert done.returncode == 0, done.stderr
    done = cnncli(tmp_path, "datasets", "check", "fer2013.csv")
    assert "train: 0 30, 1 30" in done.stdout


def test_what_is_wrong_with_pixels_in_one_cell_is_told(tmp_path):
    def told(*rows, header=("emotion", "pixels", "Usage"), **options):
        write(tmp_path / "own.csv", header, *rows)
        with pytest.raises(CnncliError) as caught:
            load(DataSection(dataset="own.csv", **options), tmp_path)
        return str(caught.value).replace(f"{tmp_path}", "HERE").splitlines()

    good = (0, "1 2 3 4", "Training"), (1, "1 2 3 4", "Training")
    assert told(*good, (1, "1 2 3", "Training"), (0, "1 2 1_0 4", "Training")) == [
        "HERE: 2 problems",
        "  own.csv:4:2: 'pixels' must have 4 numbers, like the first row; received 3",
        "  own.csv:5:2: 'pixels' must have finite numbers; received '1_0'",
    ]
    assert told(*good, (1, "1 2 3 4", "Public")) == [
        "HERE/own.csv: 1 problem",
        "  own.csv:4:3: 'Usage' must be Training, PublicTest or PrivateTest, or train, validation or test; received "
        "'Public'",
    ]
    rows = [(*row, 7) for row in good]
    assert told(*rows, header=("emotion", "pixels", "Usage", "age")) == [
        "HERE/own.csv: one column beside pixels must be the class; received emotion, pixels, Usage, age: name it by "
        "`label_column` under `data`"
    ]
    write(tmp_path / "own.csv", ("emotion", "pixels", "Usage", "age"), *rows)
    assert load(DataSection(dataset="own.csv", label_column="emotion"), tmp_path).sizes == {"train": 2}
