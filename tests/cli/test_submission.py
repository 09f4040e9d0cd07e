"""`cnncli predict` of tables and of folders, and submissions as competitions want them."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_predict import bars
from tests.cli.test_train import SPEC, cnncli

NAMES = ("stand", "lie")
X, Y = bars(320)
TEST = X[300:]
PHOTOS = """\
name: photos
seed: 1
data: {dataset: photos, color_mode: grayscale, validation_split: 0.1}
model: {layers: [Flatten, Dense: {units: 32, activation: relu}, Dense: {units: 2, activation: softmax}]}
compile: {optimizer: {Adam: {learning_rate: 0.01}}, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 25, batch_size: 8}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on bars with names, unlabelled pictures in test1/ (1.png … 20.png), and their true classes in `truth`."""
    path = tmp_path_factory.mktemp("submission")
    for i, (image, label) in enumerate(zip(X[:300], Y[:300], strict=True)):
        (path / "photos/train" / NAMES[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path / f"photos/train/{NAMES[label]}/{i}.png")
    (path / "photos/test1").mkdir()
    for i, image in enumerate(TEST, start=1):
        Image.fromarray(image).save(path / f"photos/test1/{i}.png")
    (path / "photos.yaml").write_text(PHOTOS)
    done = cnncli(path, "train", "photos.yaml", "--output", "run")
    assert done.returncode == 0, done.stderr
    return path


TRUTH = {str(i): NAMES[label] for i, label in enumerate(Y[300:], start=1)}


def submitted(folder, *arguments, code=0):
    """The rows of a submission; what is printed."""
    done = cnncli(folder, "predict", "run", *arguments, "--submission", "out.csv")
    assert done.returncode == code, done.stderr
    if code:
        return done.stderr
    return list(csv.reader((folder / "out.csv").read_text().splitlines()))


def test_a_folder_becomes_a_row_per_image_with_its_name_and_class(folder):
    header, *rows = submitted(folder, "photos/test1")
    assert header == ["id", "label"]
    assert [key for key, _ in rows] == sorted(TRUTH)
    assert sum(TRUTH[key] == label for key, label in rows) == 20
    done = cnncli(folder, "predict", "run", "photos/test1", "--submission", "out.csv")
    assert done.stdout == "out.csv: 20 images\n"


def test_columns_are_classes_numbers_and_probabilities(folder):
    header, *rows = submitted(folder, "photos/test1", "--columns", "ImageId,lie,stand,Label=number,p=lie,name=class")
    assert header == ["ImageId", "lie", "stand", "Label", "p", "name"]
    given = json.loads(cnncli(folder, "predict", "run", "photos/test1", "--json").stdout)
    assert given["classes"] == ["lie", "stand"]
    for row, prediction in zip(rows, given["predictions"], strict=True):
        lie, stand = prediction["probabilities"]
        label = prediction["class"]
        assert row[1:] == [str(lie), str(stand), str(given["classes"].index(label)), str(lie), label]


def test_a_sample_gives_ids_order_and_columns(folder):
    for ids in (["7", "3", "20"], ["7.png", "3.png", "20.png"]):
        (folder / "sample.csv").write_text("name,class\n" + "".join(f"{key},0\n" for key in ids))
        header, *rows = submitted(folder, "photos/test1", "--like", "sample.csv")
        assert (header, [row[0] for row in rows]) == (["name", "class"], ids)
        assert [row[1] for row in rows] == [TRUTH[key.split(".")[0]] for key in ids]
    header, *rows = submitted(folder, "photos/test1", "--like", "sample.csv", "--columns", "name,class=lie")
    assert (header, [float(row[1]) > 0.5 for row in rows]) == (
        ["name", "class"],
        [TRUTH[key] == "lie" for key in ("7", "3", "20")],
    )
    (folder / "sample.csv").write_text("id,stand,lie\n4,0,0\n")
    header, row = submitted(folder, "photos/test1", "--like", "sample.csv")
    assert (header, row[0], round(float(row[1]) + float(row[2]), 4)) == (["id", "stand", "lie"], "4", 1)
    (folder / "sample.csv").write_text("id,label\n4,0\n99,0\n")
    said = submitted(folder, "photos/test1", "--like", "sample.csv", code=1)
    assert said == "error: out.csv: was not written, because no image has the id '99' of sample.csv\n"


def test_a_table_of_files_is_predicted_in_its_order(folder):
    (folder / "photos/sample_submission.csv").write_text("id,label\n5,x\n2,x\n11.png,x\n")
    _, *rows = submitted(folder, "photos/sample_submission.csv")
    assert [row[0] for row in rows] == ["5", "2", "11"]
    assert [row[1] for row in rows] == [TRUTH[row[0]] for row in rows]
    (folder / "photos/more.csv").write_text("a;Filename\n1;test1/3.png\n1;nothing\n1;/etc/1.png\n")
    done = cnncli(folder, "predict", "run", "photos/more.csv", "--json")
    found = json.loads(done.stdout)["predictions"]
    assert [found[0]["file"], found[0]["class"]] == ["photos/test1/3.png", TRUTH["3"]]
    assert [each.get("error", "") for each in found[1:]] == [
        "there is no such image in photos, nor in test1",
        "a file must be a path inside the table's folder",
    ]
    assert submitted(folder, "photos/more.csv", code=1) == (
        "error: out.csv: was not written, because photos/more.csv: nothing can't be used: there is no such image in "
        "photos, nor in test1\n"
    )


@pytest.mark.parametrize(
    ("name", "column", "between", "encoding"),
    [
        ("test.csv", "id_code", ";", "utf-8"),
        ("test.tsv", "Image Name", "\t", "utf-16"),
        ("test.csv", "filepaths", ",", "utf-8"),
        ("metadata.csv", "image_id", ",", "utf-8-sig"),
    ],
)
def test_a_table_is_read_as_those_to_train_on(folder, name, column, between, encoding):
    """Its column of files has any of their names, and its images are in folders of any name."""
    place = folder / f"{column}{encoding}"
    for key, part in (("3", "part_1"), ("7", "part_2/deep")):
        (place / part).mkdir(parents=True, exist_ok=True)
        (place / part / f"{key}.png").write_bytes((folder / f"photos/test1/{key}.png").read_bytes())
    rows = (["age", column], ["1", "7"], ["2", "3"])
    (place / name).write_text("".join(between.join(row) + "\n" for row in rows), encoding=encoding)
    _, *rows = submitted(folder, place / name)
    assert rows == [["7", TRUTH["7"]], ["3", TRUTH["3"]]]


@pytest.mark.parametrize(
    ("first", "header"),
    [(None, True), (None, False), ("label", True), ("ImageId", True)],
)
def test_a_table_of_pixels_is_predicted_without_and_with_a_label(folder, first, header):
    names = [f"pixel{i}" for i in range(64)]
    lines = [[*([i + 100] if first else []), *image.ravel().tolist()] for i, image in enumerate(TEST)]
    table = ([[*([first] if first else []), *names]] if header else []) + lines
    (folder / "test.csv").write_text("".join(",".join(map(str, line)) + "\n" for line in table))
    header, *rows = submitted(folder, "test.csv", "--columns", "ImageId,Label")
    keys = [str(i + (100 if first == "ImageId" else 1)) for i in range(20)]
    assert [row[0] for row in rows] == keys
    given = json.loads(cnncli(folder, "predict", "run", "photos/test1", "--json").stdout)["predictions"]
    by_name = {each["file"].split("/")[-1].split(".")[0]: each["class"] for each in given}
    assert [row[1] for row in rows] == [by_name[str(i + 1)] for i in range(20)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "test.csv: can't be read as a table: it must have a line of names and a row for each image, in UTF-8"),
        ("id\n", "test.csv: must have a row for each image; it has none"),
        (
            "a,b,c\n1,2,3\n",
            "test.csv: a table of images must have a column file, filename or id that names files, or the pixels of "
            "the model's input; received a, b, c",
        ),
        (
            ",".join("1" * 65) + "\n",
            "test.csv: has 65 columns, one more than the pixels of the model's input: name it label or id in a first "
            "line, or remove it",
        ),
        (
            ",".join([*(f"p{i}" for i in range(63)), "q"]) + "\n" + ",".join(["1"] * 63 + ["x"]) + "\n",
            "error: test.csv: 1 problem\n  test.csv:2:64: 'q' must be a finite number; received 'x'",
        ),
    ],
)
def test_a_table_that_can_not_be_used_is_told(folder, text, said):
    (folder / "test.csv").write_text(text)
    done = cnncli(folder, "predict", "run", "test.csv")
    assert done.returncode == 1
    assert done.stderr.startswith(said), done.stderr


def test_an_image_that_can_not_be_used_leaves_the_old_file(folder):
    (folder / "broken").mkdir()
    (folder / "broken/1.png").write_text("")
    Image.fromarray(TEST[0]).save(folder / "broken/0.png")
    (folder / "out.csv").write_text("old\n")
    said = submitted(folder, "broken", code=1)
    assert said.startswith("error: out.csv: was not written, because broken/1.png can't be used: ")
    assert said.count("\n") == 1
    assert (folder / "out.csv").read_text() == "old\n"
    assert not list(folder.glob(".*.tmp"))


def test_an_id_of_two_images_is_told(folder):
    for place in ("a", "b"):
        (folder / "both" / place).mkdir(parents=True)
        Image.fromarray(TEST[0]).save(folder / "both" / place / "1.png")
    assert submitted(folder, "both", code=1) == (
        "error: out.csv: was not written, because two images have the id '1': both/a/1.png, both/b/1.png\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--columns", "id,label"], "--columns needs --submission FILE.csv"),
        (["--like", "run/spec.yaml"], "--like needs --submission FILE.csv"),
        (["--submission", "out.txt"], "--submission must be a file ending in .csv; received out.txt"),
        (
            ["--submission", "out.csv", "--columns", "id"],
            "--columns must be a column for ids and others, such as id,label; received 'id'",
        ),
        (
            ["--submission", "out.csv", "--columns", "id,p=lia"],
            "--columns: 'p=lia' must be NAME=VALUE with one of class, number, lie, stand; did you mean 'lie'?",
        ),
    ],
)
def test_options_that_can_not_be_are_one_line(folder, arguments, said):
    done = cnncli(folder, "predict", "run", "photos/test1", *arguments)
    assert (done.returncode, done.stderr) == (2, f"error: {said}\n")


def test_what_is_left_out_of_a_folder_is_named_in_one_line(folder):
    (folder / "mixed/deep").mkdir(parents=True)
    Image.fromarray(TEST[0]).save(folder / "mixed/1.png")
    for name in ("notes.txt", "deep/a.csv", "b.pdf", ".hidden"):
        (folder / "mixed" / name).write_text("")
    done = cnncli(folder, "predict", "run", "mixed")
    assert done.stderr == "mixed: 3 files left out, no images: b.pdf, deep/a.csv, notes.txt\n"
    assert done.returncode == 0
    (folder / "mixed/c.txt").write_text("")
    assert (
        ": 4 files left out, no images: b.pdf, c.txt, deep/a.csv, …\n"
        in cnncli(folder, "predict", "run", "mixed").stderr
    )


def test_a_competition_from_its_files_to_the_submission(tmp_path):
    """Named pictures to train on, numbered ones to predict, and a sample whose label is a probability."""
    x, y = bars(220)
    for folder, rows in (("train", range(200)), ("test1", range(200, 220))):
        (tmp_path / "own" / folder).mkdir(parents=True)
        for i in rows:
            name = f"{NAMES[y[i]]}.{i}" if folder == "train" else str(i - 199)
            Image.fromarray(x[i]).save(tmp_path / "own" / folder / f"{name}.png")
    (tmp_path / "own/sampleSubmission.csv").write_text("id,label\n" + "".join(f"{i},0.5\n" for i in range(1, 21)))
    assert cnncli(tmp_path, "init", "--data", "own").returncode == 0
    done = cnncli(tmp_path, "train", "own.yaml", "--epochs", 15, "--output", "run", "--set", "data.augment=[]")
    assert done.returncode == 0, done.stderr
    assert "'test1' is left out, because it has no classes: predict its images with `cnncli predict`\n" in done.stderr
    sample = ["--like", "own/sampleSubmission.csv", "--columns", "id,label=lie"]
    header, *rows = submitted(tmp_path, "own/test1", *sample)
    assert (header, [row[0] for row in rows]) == (["id", "label"], [str(i) for i in range(1, 21)])
    assert sum((float(row[1]) > 0.5) == label for row, label in zip(rows, y[200:], strict=True)) >= 19


def test_explain_takes_no_table(folder):
    (folder / "some.csv").write_text("id\n1\n")
    done = cnncli(folder, "explain", "run", "some.csv")
    assert (done.returncode, done.stderr) == (
        2,
        "error: an INPUT must be an image, a folder of images or one array (.npy); received some.csv\n",
    )


def test_one_output_and_values_have_columns_too(folder, tmp_path):
    x, y = bars(60)
    np.savez(tmp_path / "bars.npz", x_train=x, y_train=y)
    text = SPEC.replace("units: 2, activation: softmax", "units: 1, activation: sigmoid")
    text = text.replace("categorical_crossentropy", "binary_crossentropy")
    assert "sigmoid" in text
    (tmp_path / "bars.yaml").write_text(text)
    assert cnncli(tmp_path, "train", "bars.yaml", "--output", "run").returncode == 0
    header, *rows = submitted(tmp_path, folder / "photos/test1", "--columns", "id,label=1")
    assert header == ["id", "label"]
    assert all(0 <= float(row[1]) <= 1 for row in rows)
    np.savez(tmp_path / "bars.npz", x_train=x, y_train=y + 0.5)
    spec = "data: {dataset: bars.npz, targets: values}\nmodel: {layers: [Flatten, Dense: {units: 1}]}\n"
    (tmp_path / "own.yaml").write_text(spec + "compile: {optimizer: adam, loss: mse}\nfit: {epochs: 1}\n")
    assert cnncli(tmp_path, "train", "own.yaml", "--output", "numbers").returncode == 0
    cnncli(
        tmp_path, "predict", "numbers", folder / "photos/test1", "--submission", "numbers.csv", "--columns", "id,age"
    )
    header, *rows = csv.reader((tmp_path / "numbers.csv").read_text().splitlines())
    assert (header, len([float(row[1]) for row in rows])) == (["id", "age"], 20)
