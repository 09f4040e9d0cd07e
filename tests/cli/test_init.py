"""`cnncli init`: what it writes is valid and trains, whatever the data."""

import json
import shlex
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.files import shipped
from cnncli.spec.schema import schema
from cnncli.spec.spec import load
from tests.cli.test_folders import noise
from tests.cli.test_train import child_environment, cnncli
from tests.datasets.photos import picture, table

NAMES = ("blue", "green", "red")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Decoded images go into a folder of the tests'."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNCLI_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def init(folder, *arguments):
    """What init says; it must succeed, and what it writes must be valid."""
    done = cnncli(folder, "init", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    file = next(shlex.split(line)[-1] for line in done.stdout.splitlines() if line.startswith("next  cnncli train "))
    checked = cnncli(folder, "check", file)
    assert checked.returncode == 0, checked.stderr
    return done.stdout


def trained(folder, spec, epochs=1):
    """The figures of the last epoch and of the test of what `spec` trains, as it stands."""
    done = cnncli(folder, "train", spec, "--epochs", epochs, "--json")
    assert done.returncode == 0, done.stderr
    *_, last, end = map(json.loads, done.stdout.splitlines())
    return last, end["test"]


def test_colours_are_told_apart_after_a_few_epochs_of_the_spec_as_written(tmp_path):
    noise(tmp_path / "photos")
    said = init(tmp_path, "--data", "photos/").splitlines()
    assert said == [
        "photos/: 36 images, 3 classes",
        "  classes: blue 12, green 12, red 12",
        "  sizes (height × width): 10 × 12, in colour",
        "photos.yaml: small network for 10 × 12 × 3, 69,059 parameters",
        "  24 training, 6 validation, 6 test",
        "spec.schema.json: JSON Schema: completion and checks in editors",
        "next  cnncli train photos.yaml",
        "      cnncli evaluate",
    ]
    first = (tmp_path / "photos.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=spec.schema.json"
    assert json.loads((tmp_path / "spec.schema.json").read_text()) == schema()
    figures, test = trained(tmp_path, "photos.yaml", epochs=6)
    assert (figures["val_accuracy"], test["accuracy"]) == (1, 1)
    done = cnncli(tmp_path, "evaluate", "--json")
    assert json.loads(done.stdout)["accuracy"] == 1


def test_larger_pictures_get_a_deeper_network_and_are_told_apart_too(tmp_path):
    noise(tmp_path / "photos")
    for file in (tmp_path / "photos").rglob("*.png"):
        Image.open(file).resize((60, 48), Image.Resampling.NEAREST).save(file)
    assert "small network for 48 × 60 × 3, 94,307 parameters" in init(tmp_path, "--data", "photos")
    _, test = trained(tmp_path, "photos.yaml", epochs=8)
    assert test["accuracy"] == 1


def test_ten_classes_of_all_sizes_are_cut_to_one(tmp_path):
    names = [f"kind {number}" for number in range(10)]
    for number, name in enumerate(names):
        for i in range(4):
            picture(
                tmp_path / "all kinds" / name / f"{i}.jpg", size=(30 + 3 * i, 40 + number), colour=(25 * number, 9, i)
            )
    init(tmp_path, "--data", "all kinds")
    spec = load(tmp_path / "all-kinds.yaml")
    assert (spec.data.image_size, spec.data.crop_to_aspect_ratio) == ((32, 32), True)
    assert spec.model.nodes[-1].layer.units == 10
    trained(tmp_path, "all-kinds.yaml")


def test_a_rare_class_is_weighed_and_broken_files_are_left_out(tmp_path):
    noise(tmp_path / "photos", NAMES[:1], count=50)
    noise(tmp_path / "photos", NAMES[1:2], count=10)
    (tmp_path / "photos/blue/text.png").write_text("text")
    (tmp_path / "photos/green/cut.png").write_bytes((tmp_path / "photos/green/1.png").read_bytes()[:150])
    said = init(tmp_path, "--data", "photos")
    assert "  2 files that can't be used:\n    blue/text.png: an image must be PNG" in said
    assert "    green/cut.png: can't be read: " in said
    assert (
        "the largest class has 5.0 times as many images as the smallest: classes will be weighted to compensate" in said
    )
    spec = load(tmp_path / "photos.yaml")
    assert (spec.data.on_error, spec.fit.class_weight) == ("skip", "balanced")
    trained(tmp_path, "photos.yaml")


def test_a_table_of_several_classes_gets_a_sigmoid_for_each(tmp_path):
    rows = "".join(f"{name}.png,{int(name < 'd')},{int(name > 'b')}\n" for name in "abcdef")
    table(tmp_path / "photos", f"file,early,late\n{rows}")
    for name in "abcdef":
        picture(tmp_path / "photos" / f"{name}.png", size=(12, 12), colour=(ord(name), 0, 0))
    init(tmp_path, "--data", "photos")
    spec = load(tmp_path / "photos.yaml")
    assert (spec.model.nodes[-1].layer.activation.name, spec.fit.class_weight) == ("sigmoid", None)
    figures, _ = trained(tmp_path, "photos.yaml")
    assert {"val_loss", "val_binary_accuracy"} <= set(figures)


def test_splits_that_are_there_are_kept_and_grey_images_stay_grey(tmp_path):
    random = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for name in "38":
            (tmp_path / "signs" / split / name).mkdir(parents=True)
            for i in range(5):
                pixels = random.integers(0, 255, (9, 9)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "signs" / split / name / f"{i}.png")
    init(tmp_path, "--data", "signs")
    spec = load(tmp_path / "signs.yaml")
    assert (spec.data.validation_split, spec.data.test_split, spec.data.augment) == (0, 0, ())
    assert (spec.data.color_mode, spec.model.input_shape) == ("grayscale", (9, 9, 1))
    _, test = trained(tmp_path, "signs.yaml")
    assert test is not None


@pytest.mark.parametrize("labels", ["ordered", "mixed", "several", "column", "one-hot"])
def test_arrays_train_whatever_their_labels_are(tmp_path, labels):
    y = np.repeat([0, 1, 2], 20)
    x = (80 * y[:, None, None] + np.arange(64).reshape(8, 8)).astype(np.float32)
    mixed = np.random.default_rng(0).permutation(60)
    ways = {
        "ordered": y,
        "mixed": y[mixed],
        "several": np.stack([y > 0, y < 2], axis=1),
        "column": (y[mixed] > 0)[:, None].astype(np.float32),
        "one-hot": np.eye(3)[y[mixed]],
    }
    rows = slice(None) if labels in ("ordered", "several") else mixed
    np.savez(tmp_path / "own.npz", x_train=x[rows], y_train=ways[labels])
    init(tmp_path, "--data", "own.npz")
    spec = load(tmp_path / "own.yaml")
    assert spec.data.rescale == 1 / 255  # floats of up to 255
    assert spec.data.stratified == (True if labels == "ordered" else None)
    figures, _ = trained(tmp_path, "own.yaml")
    assert figures["val_loss"] < 5


def test_a_table_of_pixels_is_divided_by_class_and_trains(tmp_path):
    lines = [
        f"{name},{','.join(str(40 * k + i % 40) for i in range(64))}" for k, name in enumerate("abc") for _ in range(9)
    ]
    (tmp_path / "own.csv").write_text("\n".join(["label," + ",".join(f"p{i}" for i in range(64)), *lines]))
    init(tmp_path, "--data", "own.csv")
    spec = load(tmp_path / "own.yaml")
    assert (spec.model.input_shape, spec.data.test_split) == ((8, 8, 1), 0.15)
    figures, test = trained(tmp_path, "own.yaml")
    assert set(figures) > {"val_accuracy"}
    assert set(test) == {"loss", "accuracy"}


@pytest.mark.parametrize("model", ["vgg", "resnet20", "mobilenet"])
def test_the_other_networks_train_on_the_smallest_images(tmp_path, model):
    for number, name in enumerate(NAMES):
        for i in range(5):
            picture(tmp_path / "tiny" / name / f"{i}.png", size=(8, 8), colour=(80 * number, i, 0))
    said = init(tmp_path, "--data", "tiny", "--model", model, "-o", "made.yaml")
    assert f"made.yaml: {model} network for 8 × 8 × 3" in said
    trained(tmp_path, "made.yaml")


def test_known_data_need_not_be_here(tmp_path):
    said = init(tmp_path, "--data", "cifar10")
    assert "45,000 training, 5,000 validation, 10,000 test" in said
    assert load(tmp_path / "cifar10.yaml").data.augment


def test_the_data_are_found_from_wherever_the_spec_is(tmp_path):
    noise(tmp_path / "photos")
    (tmp_path / "specs").mkdir()
    init(tmp_path, "--data", "photos", "-o", "specs/mine.yaml")
    assert '  dataset: "../photos/"' in (tmp_path / "specs/mine.yaml").read_text()
    init(tmp_path, "--data", tmp_path / "photos", "-o", "specs/fixed.yaml")
    assert f"{tmp_path}/photos/" in (tmp_path / "specs/fixed.yaml").read_text()
    init(tmp_path / "photos", "--data", ".", "-o", "../here.yaml")
    assert "  dataset: photos/" in (tmp_path / "here.yaml").read_text()


def test_a_shipped_spec_is_copied_as_it_is(tmp_path):
    assert init(tmp_path, "mnist") == (
        "mnist.yaml: 225,034 parameters · mnist5k\nnext  cnncli train mnist.yaml\n      cnncli evaluate\n"
    )
    assert (tmp_path / "mnist.yaml").read_bytes() == (shipped("configs") / "mnist.yaml").read_bytes()


@pytest.mark.parametrize("name", ["mnist", "unet", "resnet20"])
def test_a_copy_is_named_after_its_file_and_else_the_same(tmp_path, name):
    init(tmp_path, f"{name}.yaml", "-o", "my own (2).yaml")
    spec = load(tmp_path / "my own (2).yaml")
    assert spec.name == "my-own-2"
    assert replace(spec, name=name) == load(shipped("configs") / f"{name}.yaml")


def test_a_schema_that_is_there_is_kept(tmp_path):
    noise(tmp_path / "photos")
    (tmp_path / "spec.schema.json").write_text("mine")
    init(tmp_path, "--data", "photos")
    assert (tmp_path / "spec.schema.json").read_text() == "mine"


def test_nothing_is_written_over_without_force(tmp_path):
    noise(tmp_path / "photos")
    for arguments in (["mnist", "-o", "photos.yaml"], ["--data", "photos"]):
        (tmp_path / "photos.yaml").write_text("mine")
        done = cnncli(tmp_path, "init", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert (
            done.stderr
            == "error: 'photos.yaml' exists; overwrite it with --force, or choose another name with -o FILE\n"
        )
        assert (tmp_path / "photos.yaml").read_text() == "mine"
        init(tmp_path, *arguments, "--force")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "init needs the name of a spec (alexnet_small, densenet_small, lenet5, mnist, "),
        (["mnsit"], "there is no spec 'mnsit' among alexnet_small, densenet_small, "),
        (["runs"], "to write a spec for data: cnncli init --data runs"),
        (["mnist", "--data", "runs"], "init takes the name of a spec or --data, not both"),
        (["mnist", "--model", "vgg"], "--model needs --data: a bundled spec has its own network"),
        (["--data", "nothing"], "unknown dataset 'nothing'"),
        (
            ["--data", "mnist5k", "--model", "vgg19"],
            "vgg16; received 'vgg19'; did you mean 'vgg16'?",
        ),
    ],
)
def test_wrong_usage_is_told_in_one_line(tmp_path, arguments, said):
    (tmp_path / "runs").mkdir()
    done = cnncli(tmp_path, "init", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    if arguments == ["mnsit"]:
        assert done.stderr.endswith("; did you mean 'mnist'?\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["runs"]


def test_a_place_that_can_not_be_written_is_named(tmp_path):
    done = cnncli(tmp_path, "init", "mnist", "-o", "nowhere/mnist.yaml")
    assert done.returncode == 1
    assert done.stderr == "error: nowhere/mnist.yaml: can't be written: there is no directory 'nowhere'\n"


def test_a_copy_needs_neither_numpy_nor_numba(tmp_path):
    code = (
        "import sys\nfrom cnncli.cli import main\ntry:\n    main(['init', 'mnist'])\nexcept SystemExit as end:\n"
        "    print('EXIT', end.code, sorted({'numpy', 'numba', 'PIL'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=child_environment(), capture_output=True, text=True, check=True)
    assert done.stdout.endswith("EXIT 0 []\n"), done.stdout
    assert [entry.name for entry in tmp_path.iterdir()] == ["mnist.yaml"]
