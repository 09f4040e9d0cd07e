"""Tables of images that may mean two things, or that are wrong: what is asked, and what is refused."""

from time import process_time

import numpy as np
import pytest

from cnncli.datasets.describe import describe, find
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError
from cnncli.layers.declarations.validation_errors import ValidationError
from tests.cli.test_train import cnncli
from tests.datasets.photos import classes, picture
from tests.datasets.tables import dog_breeds, listed, message, pictures, write


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


NAMES = ("a", "b", "c", "d")
ROWS = [(name, "xy"[i % 2]) for i, name in enumerate(NAMES)]


def images(folder, names=NAMES, ending=".png"):
    for i, name in enumerate(names):
        picture(folder / f"{name}{ending}", colour=(i * 5, 1, 1))


def told(root, **options):
    """What is said of a folder: an error, or its notes, problems and faults."""
    try:
        made = listed(root, **options)
    except CnncliError as error:
        return [str(error).replace(f"{root.parent}/", "")]
    return [*made.notes, *map(str, made.problems), *map(str, made.faults)]


def splits(root, **options):
    made = listed(root, **options)
    return {
        split: {row.file: [made.classes[i] for i in row.labels] for row in part} for split, part in made.splits.items()
    }


def test_two_tables_are_asked_about_and_either_can_be_the_dataset(tmp_path):
    root = tmp_path / "own"
    images(root / "images")
    write(root / "train.csv", ("id", "label"), *ROWS)
    write(root / "metadata.csv", ("id", "label"), *((name, label * 2) for name, label in ROWS))
    data = DataSection(dataset="own")
    with pytest.raises(CnncliError) as caught:
        find(data, tmp_path).listing()
    assert str(caught.value) == (
        f"{root} has several tables of images: set `dataset: own/metadata.csv` or `dataset: own/train.csv` under `data`"
    )
    assert told(root / "metadata.csv") == ["metadata.csv: file in column id, class in label; images in images/"]
    assert listed(root / "metadata.csv").classes == ("xx", "yy")
    assert listed(root / "train.csv").classes == ("x", "y")
    known = describe(DataSection(dataset="own/train.csv"), tmp_path)
    assert (known.source, known.samples) == (str(root / "train.csv"), {"train": 4})


def test_two_columns_of_classes_are_asked_about(tmp_path):
    images(tmp_path / "own/images")
    write(tmp_path / "own/metadata.csv", ("id", "species", "breed"), *((name, label, name) for name, label in ROWS))
    assert told(tmp_path / "own") == [
        "own/metadata.csv: each of the columns species, breed can be the class: set `columns: {label: species}` or "
        "`columns: {label: breed}` under `data`"
    ]
    assert listed(tmp_path / "own", columns={"label": "species"}).classes == ("x", "y")
    assert listed(tmp_path / "own", columns={"label": "breed"}).classes == NAMES


def test_of_a_number_and_a_name_of_the_same_class_the_name_is_taken(tmp_path):
    images(tmp_path / "own/images")
    rows = ((i, name, "xy".index(label), label) for i, (name, label) in enumerate(ROWS))
    write(tmp_path / "own/EuroSAT.csv", ("", "Filename", "Label", "ClassName"), *rows)
    assert told(tmp_path / "own") == [
        "EuroSAT.csv: file in column Filename, class in ClassName; images in images/; ignored: label"
    ]


def test_names_that_match_files_in_two_folders_or_of_two_endings_are_asked_about(tmp_path):
    for folder in ("large", "small"):
        images(tmp_path / "own" / folder)
    write(tmp_path / "own/metadata.csv", ("file_name", "label"), *((f"{name}.png", label) for name, label in ROWS))
    table = tmp_path / "own/metadata.csv"
    assert told(table) == [
        f"{tmp_path}/own/metadata.csv: the folders large and small both have files of these names: set `columns: "
        "{folder: large}` or `columns: {folder: small}` under `data`".replace(f"{tmp_path}/own/", "")
    ]
    assert list(splits(table, columns={"folder": "small"})["train"]) == [f"small/{name}.png" for name in NAMES]
    for folder in ("../own/small", "/", "medium"):
        assert told(table, columns={"folder": folder}) == [
            f"columns: folder must be a folder beside metadata.csv; received {folder}"
        ]
    images(tmp_path / "two/images")
    images(tmp_path / "two/images", ending=".jpg")
    write(tmp_path / "two/metadata.csv", ("id", "label"), *ROWS)
    assert told(tmp_path / "two") == [
        "two/metadata.csv: images has .jpg and .png files of these names: write the names with their endings in the "
        "table, or keep one file of each name"
    ]


def test_a_single_name_that_matches_two_files_is_a_problem_of_its_row(tmp_path):
    images(tmp_path / "own/one")
    images(tmp_path / "own/two", "a")
    write(tmp_path / "own/metadata.csv", ("id", "label"), *ROWS)
    assert told(tmp_path / "own/metadata.csv")[-1] == (
        "metadata.csv:2: 'a' is ambiguous in the table's folder; it matches one/a.png, two/a.png"
    )


def test_a_table_of_few_of_the_images_is_asked_about(tmp_path):
    root = tmp_path / "own"
    images(root / "images", map(str, range(50)))
    write(root / "metadata.csv", ("id", "label"), ("1", "x"), ("2", "y"))
    assert told(root) == [
        "own/metadata.csv names only 2 of the 50 images beside it: to use these alone, set `columns: {file: id, label: "
        "label}` under `data`"
    ]
    said = ["metadata.csv names 2 of 50 images; the others are left out"]
    assert told(root, columns={"file": "id", "label": "label"})[1:] == said
    assert told(root / "metadata.csv")[1:] == said


@pytest.mark.parametrize("place", ["", "train"])
def test_folders_that_are_classes_go_before_a_table_beside_them(tmp_path, place):
    root = tmp_path / "own"
    for split in {"", place, place and "test"} - ({""} if place else set()):
        classes(root / split)
    rows = [(f"{name}/0{i}.png", f"{'xy'[i % 2]}") for name in ("cats", "dogs") for i in range(4)]
    table = root / place / "metadata.csv"
    write(table, ("file_name", "label"), *rows)
    path = f"{place}/metadata.csv".lstrip("/")
    data = DataSection(dataset="own")
    made = find(data, tmp_path).listing()
    assert made.classes == ("cats", "dogs")
    assert made.notes == (f"{path} is not read, because the folders are the classes: `dataset: own/{path}` uses it",)
    assert listed(table).classes == ("x", "y")
    assert listed(root, layout="class_folders").notes == ()


def test_several_classes_in_a_cell_are_separated_by_a_bar_or_what_is_asked_for(tmp_path):
    root = tmp_path / "nih"
    for part, names in (("images_001", "abcd"), ("images_002", "efgh")):
        images(root / part / "images", names)
    labels = ["Mass|Edema", "Mass", "Edema", "No Finding"] * 2
    rows = [(f"{name}.png", label, 1) for name, label in zip("abcdefgh", labels, strict=True)]
    write(root / "Data_Entry_2017.csv", ("Image Index", "Finding Labels", "Follow-up #"), *rows)
    assert told(root) == [
        "Data_Entry_2017.csv: file in column Image Index, class in Finding Labels; images in images_001/ and "
        "images_002/; ignored: Follow-up #",
        "Data_Entry_2017.csv: images have several classes, which are separated by |",
    ]
    assert splits(root)["train"]["images_001/images/a.png"] == ["Edema", "Mass"]
    images(tmp_path / "tags/images")
    write(
        tmp_path / "tags/train.csv",
        ("image", "tags"),
        ("a", "sun rain"),
        ("b", "sun"),
        ("c", "rain"),
        ("d", "rain sun"),
    )
    assert listed(tmp_path / "tags").classes == ("rain", "rain sun", "sun", "sun rain")
    made = listed(tmp_path / "tags", columns={"separator": " "})
    assert (made.classes, made.several) == (("rain", "sun"), True)


def test_columns_of_classes_of_which_each_image_has_one_are_one_class(tmp_path):
    images(tmp_path / "own/images")
    write(
        tmp_path / "own/train.csv",
        ("image_id", "healthy", "rust"),
        *((name, 1, 0) for name in "ab"),
        ("c", 0, 1),
        ("d", 0, 1),
    )
    made = listed(tmp_path / "own")
    assert (made.classes, made.several) == (("healthy", "rust"), False)
    assert made.notes[1] == (
        "each image has a 1 in exactly one column, so that it has one class; `columns: {label: [healthy, rust]}` under "
        "`data` makes several possible"
    )
    made = listed(tmp_path / "own", columns={"label": ["healthy", "rust"]})
    assert (made.several, len(made.notes)) == (True, 1)


def test_columns_without_classes_are_ignored_and_named(tmp_path):
    images(tmp_path / "own/images")
    rows = [(name, f"p{name}", 30 + i, i % 2, 1) for i, name in enumerate(NAMES)]
    write(tmp_path / "own/train.csv", ("image", "patient", "age", "rust", "scab"), *rows)
    assert told(tmp_path / "own") == [
        "train.csv: file in column image, classes in rust, scab; images in images/; ignored: patient, age"
    ]
    write(
        tmp_path / "own/labels.csv",
        ("file", "label", "sun"),
        *((f"images/{name}.png", label, 3) for name, label in ROWS),
    )
    assert told(tmp_path / "own") == [
        "labels.csv: file in column file, class in label; images in images/; ignored: sun"
    ]


def test_columns_that_no_name_tells_are_asked_for(tmp_path):
    root = tmp_path / "own"
    images(root / "images")
    write(root / "styles.csv", ("id", "gender", "articleType"), *((name, "Men", label) for name, label in ROWS))
    said = (
        "the columns must be file and label, or file and one 0/1 column per class; received id, gender, articleType: "
        "name others by `columns: {label: …}` under `data`"
    )
    assert told(root) == [f"own/styles.csv: {said}"]
    assert listed(root, columns={"label": "articleType"}).classes == ("x", "y")
    assert told(root, columns={"label": "kind"}) == [
        "columns: label must be one column of styles.csv, id, gender, articleType; received kind"
    ]
    write(root / "styles.csv", ("name", "label"), *ROWS)
    assert listed(root, columns={"file": "name"}).classes == ("x", "y")
    (root / "styles.csv").rename(root / "labels_2.csv")
    assert told(root) == [
        "own/labels_2.csv: the columns must be file and label, or file and one 0/1 column per class; received name, "
        "label: name others by `columns: {file: …, label: …}` under `data`"
    ]


def test_columns_without_a_table_are_refused(tmp_path):
    classes(tmp_path / "own")
    assert message(tmp_path / "own", columns={"label": "breed"}) == (
        "columns requires a table of images; own has none with these columns"
    )
    np.savez(tmp_path / "own.npz", x_train=np.zeros((2, 4, 4), np.uint8), y_train=np.array([0, 1]))
    with pytest.raises(CnncliError, match=r"^columns is only for folders of images; own.npz is not one$"):
        describe(DataSection(dataset="own.npz", columns={"label": "breed"}), tmp_path)


def test_a_column_of_splits_must_say_them_in_all_rows_and_is_ignored_otherwise(tmp_path):
    root = tmp_path / "own"
    images(root / "images")
    usage = ("Training", "PublicTest", "PrivateTest", "Training")
    write(root / "data.csv", ("img", "target", "Usage"), *((*row, use) for row, use in zip(ROWS, usage, strict=True)))
    made = splits(root)
    assert {split: list(part) for split, part in made.items()} == {
        "train": ["images/a.png", "images/d.png"],
        "validation": ["images/b.png"],
        "test": ["images/c.png"],
    }
    write(root / "data.csv", ("img", "target", "Usage"), *((*row, "Casual") for row in ROWS))
    assert told(root) == ["data.csv: file in column img, class in target; images in images/; ignored: Usage"]
    assert told(root, columns={"split": "Usage"}) == [
        "columns: split must be a column of train, validation and test; Usage has 'Casual'"
    ]


def test_a_table_of_unlabelled_images_is_no_table_of_labels(tmp_path):
    root = tmp_path / "own"
    images(root / "train")
    images(root / "test", "efgh")
    write(root / "train.csv", ("Id", "Eyes", "Pawpularity"), *((name, i % 2, 10 + i) for i, name in enumerate(NAMES)))
    write(root / "test.csv", ("Id", "Eyes"), *((name, 1) for name in "efgh"))
    write(root / "sample_submission.csv", ("Id", "Pawpularity"), ("e", 1))
    made = listed(root, targets="values", columns={"label": "Pawpularity"})
    assert made.values == {f"train/{name}.png": (10.0 + i,) for i, name in enumerate(NAMES)}
    assert list(made.splits) == ["train"]
    assert made.notes == [
        "'test' is left out, because it has no classes: predict its images with `cnncli predict`",
        "train.csv: file in column Id, numbers in Pawpularity; images in train/; ignored: Eyes",
    ]


def test_a_table_of_pixels_stays_one(tmp_path):
    write(tmp_path / "own/train.csv", ("label", *(f"pixel{i}" for i in range(4))), (0, 1, 2, 3, 4), (1, 2, 3, 4, 5))
    write(tmp_path / "own/test.csv", ("label", *(f"pixel{i}" for i in range(4))), (0, 1, 2, 3, 4), (1, 2, 3, 4, 5))
    images(tmp_path / "own")
    assert find(DataSection(dataset="own"), tmp_path).kind == "csv"
    assert describe(DataSection(dataset="own"), tmp_path).samples == {"train": 2, "test": 2}
    assert find(DataSection(dataset="own/train.csv"), tmp_path).kind == "csv"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "own/train.csv: the columns must be file and label, or file and one 0/1 column per class; received none: "
         "name others by `columns: {file: …, label: …}` under `data`"),
        ("id,label\n", "train.csv: there must be at least one usable row"),
        ("id,label,label\na,x,y\n", "own/train.csv: the columns must be file and label, or file and one 0/1 column per "
         "class; received id, label, label: name others by `columns: {label: …}` under `data`"),
        ("id\0,label\na,x\n", "own/train.csv: a table must be UTF-8 text; received zero bytes, as UTF-16 has: save it "
         "as UTF-8"),
        ("id,label\n" + "a" * 1_000_000 + ",x\n", "own/train.csv: is not a valid CSV table: field larger than field "
         "limit (131072)"),
        ('id,label\n"a,x\n', "train.csv:2: a row must have 2 values, one per column; received 1"),
        ("id,label\n../images/a,x\n", "train.csv:2: a file must be a path inside the table's folder; received "
         "'../images/a'"),
        ("id,label\n/etc/passwd,x\n", "train.csv:2: a file must be a path inside the table's folder; received "
         "'/etc/passwd', an absolute path outside it"),
        ('id,label\n"=HYPERLINK(""http://x"")",x\n', "train.csv:2: there is no file '=HYPERLINK(\"http:/x\")' in the "
         "table's folder"),
        ("id,label\na,x\na,y\n", "train.csv:3: a file must be listed once; 'images/a.png' is already on line 2"),
        ("id,label\na.jpg,x\n", "train.csv:2: there is no file 'a.jpg' in the table's folder"),
        ("id,label\na,\n", "train.csv:2: column 'label' must be a class name; it is empty"),
    ],
)  # fmt: skip
def test_hostile_tables_are_told(tmp_path, content, said):
    images(tmp_path / "own/images")
    (tmp_path / "own/train.csv").write_text(content)
    assert said in told(tmp_path / "own")


def test_json_lines_that_are_no_objects_are_told(tmp_path):
    images(tmp_path / "own/images")
    for line in ("[1]", "{", "[" * 100_000):
        (tmp_path / "own/metadata.jsonl").write_text(f'{{"file_name": "a.png", "label": true}}\n{line}\n')
        assert told(tmp_path / "own") == [
            'own/metadata.jsonl: line 2 must be a JSON object, such as {"file_name": "1.jpg"}'
        ]


def test_a_table_in_the_folder_of_a_class_is_no_image(tmp_path):
    classes(tmp_path / "own", ("00000", "00001"))
    for name in ("00000", "00001"):
        write(
            tmp_path / "own" / name / f"GT-{name}.csv", ("Filename", "Width", "ClassId"), ("00.png", 4, 0), between=";"
        )
    made = listed(tmp_path / "own")
    assert (made.classes, made.problems) == (("00000", "00001"), ())


def test_a_given_table_of_numbers_and_one_of_classes_are_evaluated_and_checked(tmp_path):
    said = dog_breeds(tmp_path / "own")
    (tmp_path / "own/labels.csv").rename(tmp_path / "own/list.csv")
    assert cnncli(tmp_path, "init", "--data", "own/list.csv").returncode == 0
    text = (tmp_path / "list.yaml").read_text()
    assert "  dataset: own/list.csv " in text
    done = cnncli(tmp_path, "train", "list.yaml", "--epochs", 8, "--output", "run")
    assert done.returncode == 0, done.stderr
    assert said.replace("labels", "list") in done.stderr
    rows = pictures(tmp_path / "other/img", 10, seed=9)
    write(tmp_path / "other/rows.csv", ("image", "species"), *rows)
    done = cnncli(tmp_path, "evaluate", "run", "--data", "other/rows.csv")
    assert done.returncode == 0, done.stderr
    assert "20" in done.stdout
    assert cnncli(tmp_path, "datasets", "check", "own/list.csv").stdout.startswith("own/list.csv: 80 images, 2 classes")


def test_the_time_to_list_a_table_grows_with_its_rows(tmp_path):
    def seconds(count):
        root = tmp_path / str(count)
        (root / "train").mkdir(parents=True)
        for i in range(count):
            (root / "train" / f"{i:012x}.jpg").touch()
        write(root / "labels.csv", ("id", "breed"), *((f"{i:012x}", i % 9) for i in range(count)))
        taken = []
        for _ in range(3):
            start = process_time()
            assert len(listed(root).splits["train"]) == count
            taken.append(process_time() - start)
        return min(taken)

    few, many = seconds(1_500), seconds(6_000)
    assert many < 10 * few  # as often as there are pairs of rows would be 16 times


def test_columns_are_given_to_init_and_check_on_the_command_line(tmp_path):
    root = tmp_path / "own"
    rows = pictures(root / "images", 40)
    write(root / "styles.csv", ("id", "gender", "kind of article"), *((name, "Men", label) for name, label in rows))
    for command in (["init", "--data", "own"], ["datasets", "check", "own"]):
        done = cnncli(tmp_path, *command)
        assert done.returncode == 1
        assert "name others by `columns: {label: …}` under `data`" in done.stderr
    done = cnncli(tmp_path, "init", "--data", "own", "--columns", "label=kind of article", "--columns", "file=id")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "own.yaml").read_text()
    assert "# Written by `cnncli init --data own '--columns=label=kind of article' --columns=file=id`.\n" in text
    assert '  columns: {label: "kind of article", file: id}\n' in text
    done = cnncli(tmp_path, "train", "own.yaml", "--epochs", 1, "--output", "run")
    assert done.returncode == 0, done.stderr
    assert cnncli(tmp_path, "evaluate", "run").returncode == 0
    done = cnncli(tmp_path, "datasets", "check", "own", "--columns", "label=kind of article")
    assert "train: disk 40, frame 40" in done.stdout
    for given in ("name=id", "label", "label="):
        done = cnncli(tmp_path, "datasets", "check", "own", "--columns", given)
        assert done.returncode == 2
        assert "must be KEY=NAME, with a key of file, label, split, folder, separator" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    "value", [[], {}, {"name": "id"}, {"label": ""}, {"label": []}, {"label": [1]}, {"file": 1}, {"file": ["a"]}, "id"]
)
def test_other_values_of_columns_are_refused(value):
    with pytest.raises(ValidationError, match=r"a mapping with some of file, label"):
        DataSection(dataset="own", columns=value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"targets": "masks"}, "columns requires class labels or values; remove it with `targets: masks`"),
        ({"layout": "class_folders"}, "columns requires a table; remove it with `layout: class_folders`"),
        (
            {"targets": "values", "label_column": "age"},
            "label_column and columns name the same column: omit label_column",
        ),
    ],
)
def test_columns_go_with_tables_only(options, said):
    with pytest.raises(ValidationError, match=said):
        DataSection(dataset="own", columns={"label": "breed"}, **options)


def test_a_given_table_none_of_whose_rows_can_be_used_is_told(tmp_path):
    images(tmp_path / "own/images")
    write(tmp_path / "own/list.csv", ("id", "label"), ("x", "y"))
    for command in (["init", "--data"], ["datasets", "check"]):
        done = cnncli(tmp_path, *command, "own/list.csv")
        assert done.returncode == 1
        assert "list.csv: there must be at least one usable row" in done.stdout + done.stderr
