"""`cnncli predict`: what it says of pictures, folders and arrays, to people and to programs."""

import csv
import json
import os
import pty
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from cnncli.datasets.sources.image_names import READ
from cnncli.training.runs import checkpoint
from tests.cli.test_train import SPEC, child_environment, cnncli, read_to_end
from tests.reference import activations, convolution

CLASSES = ["0", "1"]


def bars(count):
    """Light bars on black that lie (class 1) or stand: uint8 (N, 8, 8), int64 (N,)."""
    random = np.random.default_rng(5)
    x, y = random.integers(0, 30, (count, 8, 8)).astype(np.uint8), random.integers(0, 2, count)
    for image, label in zip(x, y, strict=True):
        place = random.integers(1, 7)
        image[(place, slice(None)) if label else (slice(None), place)] += 200
    return x, y


X, Y = bars(80)
TEST = X[60:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run on bytes, its twenty test images as an array and as pictures, and the same dark on light."""
    path = tmp_path_factory.mktemp("bars")
    np.savez(path / "bars.npz", x_train=X[:60], y_train=Y[:60], x_test=TEST, y_test=Y[60:])
    (path / "bars.yaml").write_text(SPEC)
    done = cnncli(path, "train", "bars.yaml", "--epochs", 12)
    assert done.returncode == 0, done.stderr
    np.save(path / "bars.npy", TEST)
    for name, images in (("pictures", TEST), ("drawings", 255 - TEST)):
        (path / name).mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image).save(path / name / f"{number:02}.png")
    return path


RUN = "runs/bars/latest"


def predicted(folder, *arguments, code=0):
    """The predictions of the JSON object."""
    done = cnncli(folder, "predict", RUN, *arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)["predictions"]


def probabilities(folder, *arguments):
    return np.array([each["probabilities"] for each in predicted(folder, *arguments)], np.float32)


def naive(folder, x):
    """What the network makes of images fed as they are, (N, 8, 8), by definition and in float64."""
    weights = load_file(folder / RUN / "best.safetensors")
    y = convolution.forward(
        x[..., None], weights["conv2d/kernel"], weights["conv2d/bias"], (6, 6), ((1, 1), (0, 0), (1, 1), 1)
    )
    y = np.maximum(y, 0).reshape(len(x), 3, 2, 3, 2, 3).max((2, 4)).reshape(len(x), -1)
    return activations.softmax(y @ weights["dense/kernel"].astype(np.float64) + weights["dense/bias"])


def test_pictures_get_the_probabilities_that_the_network_has_by_definition(folder):
    done = cnncli(folder, "predict", RUN, "pictures", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(document) == ["model", "classes", "predictions"]
    assert (document["model"], document["classes"]) == (f"{RUN}/best.safetensors", CLASSES)
    expected = naive(folder, TEST / 255)
    assert [each["file"] for each in document["predictions"]] == [f"pictures/{number:02}.png" for number in range(20)]
    for each, row in zip(document["predictions"], expected, strict=True):
        assert each["probabilities"] == pytest.approx(row.tolist(), abs=1e-6)
        assert each["class"] == CLASSES[row.argmax()]
        assert each["probability"] == max(each["probabilities"])


def test_the_right_answers_are_those_that_evaluate_counts(folder):
    evaluated = json.loads(cnncli(folder, "evaluate", RUN, "--json").stdout)
    right = [int(each["class"]) == label for each, label in zip(predicted(folder, "pictures"), Y[60:], strict=True)]
    assert sum(right) / 20 == evaluated["accuracy"]


def test_arrays_of_every_form_say_what_pictures_say(folder):
    pictures = probabilities(folder, "pictures")
    assert (probabilities(folder, "bars.npy") == pictures).all()
    np.save(folder / "one.npy", TEST[3])
    np.save(folder / "channel.npy", TEST[3][..., None])
    np.save(folder / "four.npy", TEST[..., None])
    np.save(folder / "floats.npy", TEST.astype(np.float32) / np.float32(255))
    np.save(folder / "doubles.npy", TEST[:1] / 255)
    given = ("one.npy", "floats.npy", "channel.npy", "four.npy", "doubles.npy", "pictures/03.png")
    found = predicted(folder, *given)
    names = ["one.npy", *(f"floats.npy[{i}]" for i in range(20)), "channel.npy", *(f"four.npy[{i}]" for i in range(20))]
    assert [each["file"] for each in found] == [*names, "doubles.npy[0]", "pictures/03.png"]
    expected = np.concatenate([pictures[3:4], pictures, pictures[3:4], pictures, pictures[:1], pictures[3:4]])
    assert (np.array([each["probabilities"] for each in found], np.float32) == expected).all()


@pytest.mark.parametrize("name", ["a.bmp", "a.gif", "a.webp", "a.JPG", "no_ending"])
def test_pictures_of_other_forms_and_sizes_are_made_the_models(folder, name):
    kind = {"no_ending": "PNG", "a.JPG": "JPEG"}.get(name, name[2:].upper())
    large = Image.fromarray(TEST[7]).convert("RGB").resize((80, 40), Image.Resampling.NEAREST)
    options = {"webp": {"lossless": True}}.get(name[2:], {})
    large.save(folder / name, kind, **options)
    opened = Image.open(folder / name).convert("RGB").convert("L")
    small = np.asarray(opened.resize((8, 8), Image.Resampling.BILINEAR))
    assert np.allclose(probabilities(folder, name), naive(folder, small[None] / 255), atol=1e-6)


def test_a_drawing_dark_on_light_is_warned_of_and_put_right_by_invert(folder):
    done = cnncli(folder, "predict", RUN, "drawings")
    assert done.returncode == 0
    assert re.fullmatch(
        r"warning: 20 images are far lighter than the training images \(drawings/00\.png: \d\d % of white, "
        r"theirs \d\d %\); for dark on light give --invert\n",
        done.stderr,
    )
    done = cnncli(folder, "predict", RUN, "drawings", "--invert", "--json")
    assert done.stderr == ""
    found = [each["probabilities"] for each in json.loads(done.stdout)["predictions"]]
    assert (np.array(found, np.float32) == probabilities(folder, "pictures")).all()
    done = cnncli(folder, "predict", RUN, "pictures/00.png", "--invert")
    assert "1 image is far lighter" in done.stderr
    assert done.stderr.endswith("; leave out --invert, which made them so\n")


def test_numbers_unlike_those_of_training_are_warned_of(folder):
    np.save(folder / "floats.npy", TEST[:2].astype(np.float64))
    done = cnncli(folder, "predict", RUN, "floats.npy")
    assert done.returncode == 0
    assert done.stderr.startswith("warning: 2 images are fed as numbers unlike the training images', 0 to 0.8")


def test_a_model_file_that_does_not_know_its_training_images_warns_of_nothing(folder):
    made = checkpoint.load(folder / RUN / "best.safetensors")
    metadata = {key: text for key, text in made.metadata.items() if key != "tone"}
    checkpoint.save(folder / "old.safetensors", checkpoint.ModelFile(made.weights, metadata))
    done = cnncli(folder, "predict", "old.safetensors", "drawings/00.png")
    assert (done.returncode, done.stderr) == (0, "")


def test_away_from_a_terminal_an_image_is_a_line_with_tabs(folder):
    done = cnncli(folder, "predict", RUN, "pictures/03.png", "bars.npy", "--top", 1)
    first = naive(folder, TEST[3:4] / 255)[0]
    best = CLASSES[first.argmax()]
    lines = done.stdout.splitlines()
    assert len(lines) == 21
    assert lines[0] == f"pictures/03.png\t{best}\t{best} {first.max():.4f}"
    line = cnncli(folder, "predict", RUN, "pictures/03.png").stdout
    other = CLASSES[first.argmin()]
    assert line == f"pictures/03.png\t{best}\t{best} {first.max():.4f}  {other} {first.min():.4f}\n"


@pytest.fixture
def mixed(folder):
    """A good picture, one that is none, a good one, an array of a wrong shape, and a good one."""
    (folder / "mixed").mkdir(exist_ok=True)
    (folder / "mixed" / "broken.png").write_text("no picture")
    np.save(folder / "mixed" / "wide.npy", np.zeros((2, 8, 9), np.uint8))
    return ["pictures/00.png", "mixed", "pictures/01.png", "mixed/wide.npy", "pictures/02.png"]


def test_what_can_not_be_used_is_told_and_the_rest_is_predicted(folder, mixed):
    done = cnncli(folder, "predict", RUN, *mixed)
    assert done.returncode == 1
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [f"pictures/0{i}.png" for i in range(3)]
    assert done.stderr.splitlines() == [
        f"mixed/broken.png: an image must be {READ}; its content is not a supported image",
        "mixed/wide.npy: an array must be 8 × 8 × 1 or N × 8 × 8 × 1 to match the model's input; received 2 × 8 × 9",
        "error: 2 of 5 images could not be used; see above",
    ]
    found = predicted(folder, *mixed, code=1)
    assert ["error" in each for each in found] == [False, True, False, True, False]
    assert found[1] == {
        "file": "mixed/broken.png",
        "error": f"an image must be {READ}; its content is not a supported image",
    }


def test_a_file_has_a_row_for_every_image_even_where_it_can_not_be_used(folder, mixed):
    done = cnncli(folder, "predict", RUN, *mixed, "--output", "all.npy")
    assert (done.returncode, done.stdout) == (1, "all.npy: 5 images\n")
    array = np.load(folder / "all.npy")
    expected = probabilities(folder, "pictures")[:3]
    assert (array.dtype, array.shape) == (np.float32, (5, 2))
    assert (array[[0, 2, 4]] == expected).all()
    assert np.isnan(array[[1, 3]]).all()
    assert cnncli(folder, "predict", RUN, *mixed, "--output", "all.csv").returncode == 1
    with (folder / "all.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file", "predicted", "0", "1"]
    assert rows[2] == ["mixed/broken.png", "", "", ""]
    assert [float(cell) for cell in rows[1][2:]] == pytest.approx(expected[0].tolist())
    assert rows[1][:2] == ["pictures/00.png", CLASSES[expected[0].argmax()]]


def test_a_file_and_json_go_together(folder):
    found = predicted(folder, "bars.npy", "--output", "both.npy")
    assert np.load(folder / "both.npy").tolist() == [np.float32(each["probabilities"]).tolist() for each in found]


def test_a_file_that_can_not_be_written_is_said_before_anything_else(folder):
    done = cnncli(folder, "predict", RUN, "pictures", "--output", "nowhere/all.npy")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: nowhere/all.npy: can't be written: there is no directory 'nowhere'\n"


def test_without_a_model_the_newest_run_predicts_and_is_named(folder):
    named = cnncli(folder, "predict", RUN, "pictures", "bars.npy")
    newest = (folder / RUN).resolve().relative_to(folder.resolve())
    for inputs in (["pictures", "bars.npy"], ["pictures/00.png"], ["bars.npy"]):
        done = cnncli(folder, "predict", *inputs)
        assert (done.returncode, done.stderr.splitlines()[0]) == (0, f"model: {newest}")
    assert cnncli(folder, "predict", "pictures", "bars.npy").stdout == named.stdout


FORM = "cnncli predict MODEL INPUT..."
MISUSES = [
    (("predict", RUN, "bars.npu"), "there is no file or folder 'bars.npu'; did you mean 'bars.npy'?"),
    (("predict", RUN), "predict needs an INPUT after the model: an image, a folder of images or a .npy; received "),
    (("predict", "bars.yaml"), "predict needs an INPUT after the model: an image, a folder of images or a .npy; "),
    (("predict", "none.png"), "there is no file or folder 'none.png'"),
    (("predict",), "cnncli predict needs INPUT: see cnncli predict --help"),
    (("predict", RUN, "picture"), "there is no file or folder 'picture'; did you mean 'pictures'?"),
    (("predict", "pictures/00.png", RUN), f"the model comes first: {FORM}; received pictures/00.png"),
    (("predict", "rnu", "pictures"), "there is no run, model file or spec 'rnu'"),
    (
        ("predict", "untrained.yaml", "pictures"),
        "there is no run of 'untrained' under runs/ yet: `cnncli train untrained.yaml` makes one",
    ),
    (
        ("predict", RUN, "bars.npz"),
        "an INPUT must be an image, a folder of images or one array (.npy); received bars.npz",
    ),
    (("predict", RUN, "empty"), f"empty: a folder must have at least one image ({READ})"),
    (
        ("predict", RUN, "pictures", "--output", "all.txt"),
        "--output must be a file ending in .npy or .csv; received all.txt",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), MISUSES)
def test_misuse_is_one_line_with_exit_code_2(folder, arguments, message):
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "untrained.yaml").write_text(SPEC.replace("name: bars", "name: untrained"))
    done = cnncli(folder, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(f"error: {message}")


def terminal(folder, *arguments, **environment):
    """What the command shows on a terminal of 60 columns, its exit code being 0."""
    master, slave = pty.openpty()
    settings = {**child_environment(), "TERM": "xterm", "COLUMNS": "60", **environment}
    if "NO_COLOR" not in environment:
        settings.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "cnncli", "predict", RUN, *arguments]
    with subprocess.Popen(command, cwd=folder, env=settings, stdout=slave, stderr=subprocess.PIPE) as process:
        os.close(slave)
        shown = read_to_end(master)
    assert process.returncode == 0
    return shown.decode().replace("\r\n", "\n")


def test_on_a_terminal_a_few_images_get_bars_and_many_a_line_each(folder):
    share = naive(folder, TEST[:1] / 255)[0]
    few = terminal(folder, "pictures/00.png", NO_COLOR="1")
    assert "\x1b[3" not in few  # bold is no colour
    title, first, second = re.sub(r"\x1b\[[\d;]*m", "", few).splitlines()
    assert title == "pictures/00.png"
    assert first.split()[0] == CLASSES[share.argmax()]
    assert first.split()[-2:] == [f"{100 * share.max():.1f}", "%"]
    assert first.count("█") == int(40 * share.max())
    assert second.split()[0] == CLASSES[share.argmin()]
    many = re.sub(r"\x1b\[[\d;]*m", "", terminal(folder, "pictures")).splitlines()
    assert len(many) == 20
    assert max(map(len, many)) <= 60
    assert many[0].startswith(f"pictures/00.png  {CLASSES[share.argmax()]}  ")
    assert "\x1b[32" in terminal(folder, "pictures")


def test_help_needs_no_numpy():
    code = "import sys; from cnncli.cli import main; main.main(sys.argv[1:], standalone_mode=False)"
    code += "; sys.exit(bool({'numpy', 'numba'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", "--help"], env=child_environment(), capture_output=True, check=False
    )
    assert done.returncode == 0


def test_pipes_are_named_and_the_others_predicted(folder, tmp_path, alarm):
    for name in ("pipe.png", "pipe.npy"):
        os.mkfifo(tmp_path / name)
    done = cnncli(folder, "predict", RUN, tmp_path / "pipe.png", tmp_path / "pipe.npy", "pictures/03.png")
    assert (done.returncode, done.stdout.count("\n")) == (1, 1)
    reason = "can't be read: it must be a regular file; it is a named pipe"
    assert done.stderr.splitlines() == [
        f"{tmp_path}/pipe.png: {reason}",
        f"{tmp_path}/pipe.npy: {reason}",
        "error: 2 of 3 images could not be used; see above",
    ]
