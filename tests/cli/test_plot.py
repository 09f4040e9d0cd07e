"""`cnncli plot`: every picture of a small run, the formats, and what is refused."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import cnncli as library
from cnncli.api.plots import WHATS
from cnncli.api.specs import open_spec
from cnncli.report.plots.schedule import schedule
from cnncli.training.runs import past_runs
from tests.cli.test_train import SPEC, cnncli, cnncli_process
from tests.training import small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two runs of a spec with augmentation."""
    path = tmp_path_factory.mktemp("plotted")
    small.write_data(path)
    augmented = SPEC.replace("validation_split: 0.1", "validation_split: 0.1\n  augment: [RandomFlip]")
    (path / "bars.yaml").write_text(augmented)
    for seed in (1, 2):
        assert cnncli(path, "train", "bars.yaml", "--seed", seed).returncode == 0
    return path


@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_every_picture_is_written_in_both_formats(folder, what, suffix):
    done = cnncli(folder, "plot", "bars.yaml", "--what", what, "-o", f"{what}.{suffix}")
    assert (done.returncode, done.stdout) == (0, f"{what}.{suffix}\n"), done.stderr
    if suffix == "svg":
        assert ElementTree.parse(folder / f"{what}.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    else:
        with Image.open(folder / f"{what}.png") as image:
            assert image.format == "PNG"
            assert len(image.getcolors(1 << 24)) > 10


def test_without_a_name_the_file_has_that_of_the_model(folder):
    done = cnncli(folder, "plot", "--what", "curves")
    assert done.stdout == "bars-curves.svg\n"
    assert re.fullmatch(r"model: runs/bars/[\d-]+\n", done.stderr)
    assert cnncli(folder, "plot", "bars.yaml", "--format", "png").stdout == "bars-model.png\n"


def test_curves_have_the_figures_of_the_epochs(folder):
    run = library.load(folder / "runs/bars/latest").path.parent
    made = library.plot(run, "curves")
    loss, accuracy = made.figures
    history = past_runs.history(run)
    by_name = {line.name: line.y for line in loss.series}
    assert by_name == {
        "training": [epoch["loss"] for epoch in history],
        "validation": [epoch["val_loss"] for epoch in history],
    }
    assert [line.x for line in accuracy.series] == [[1, 2], [1, 2]]
    best = past_runs.best_epoch(run)
    assert loss.marks[0][:2] == (best, history[best - 1]["val_loss"])


@pytest.mark.parametrize(
    "line",
    [
        '{"epoch": "two", "loss": 1}',
        '{"epoch": 1e400, "loss": 1}',
        '{"epoch": 2, "loss": [1]}',
        '{"epoch": 2, "loss": "1"}',
        f'{{"epoch": 2, "loss": 1{"0" * 400}}}',
        '["epoch", "loss"]',
        '{"epoch": 2, "lo',
    ],
)
def test_history_ends_at_a_line_that_is_not_of_an_epoch(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text(f'{{"epoch": 1, "loss": NaN, "accuracy": null}}\n{line}\n')
    (figures,) = past_runs.history(tmp_path)
    assert (figures["epoch"], figures["accuracy"]) == (1, None)
    assert [len(figure.series[0].y) for figure in library.plot(tmp_path, "curves").figures] == [1, 1]


def test_curves_of_two_runs_are_told_apart(folder):
    runs = sorted(path for path in (folder / "runs/bars").iterdir() if not path.is_symlink())
    loss, _ = library.plot(runs, "curves").figures
    assert [(line.name.split()[-1], line.color) for line in loss.series] == [
        ("training", 0),
        ("validation", 0),
        ("training", 1),
        ("validation", 1),
    ]
    assert {runs[0].name, runs[1].name} <= {word for line in loss.series for word in line.name.split()}
    done = cnncli(folder, "plot", *runs, "--what", "filters")
    assert (done.returncode, done.stderr) == (2, "error: 'filters' is plotted of one model; received 2\n")


def test_the_schedule_is_that_of_training(folder):
    """Keras' cosine: half a cosine from the initial rate to 0."""
    changed = [
        "compile.optimizer={Adam: {learning_rate: {CosineDecay: {initial_learning_rate: 0.1, decay_steps: 12}}}}"
    ]
    (folder / "cosine.yaml").write_text(
        (folder / "bars.yaml").read_text().replace("optimizer: adam", changed[0].split(".", 1)[1].replace("=", ": ", 1))
    )
    (chart,) = library.plot(folder / "cosine.yaml", "schedule").figures
    (line,) = chart.series
    steps = np.array(line.x) * 6  # 45 images, batches of 8
    assert line.y == pytest.approx(0.05 * (1 + np.cos(np.pi * np.minimum(steps, 12) / 12)))
    assert line.x[-1] == pytest.approx(11 / 6)
    sets = {"model.freeze": ["conv2d"], "model.unfreeze_at": {"epoch": 2, "rate_factor": 0.1}}
    (unfrozen,) = schedule(open_spec(folder / "cosine.yaml", sets), 45).series
    assert unfrozen.y == pytest.approx(np.where(steps < 6, line.y, 0.1 * np.array(line.y)))


def test_the_schedule_has_the_epochs_of_training_where_steps_per_epoch_cut_the_data(folder):
    rate = {"Adam": {"learning_rate": {"CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 8}}}}
    sets = {"compile.optimizer": rate, "fit.steps_per_epoch": 4, "fit.epochs": 3}
    chart = schedule(open_spec(folder / "bars.yaml", sets), 45)  # 6 batches: 4, the 2 that are left, 4
    assert chart.series[0].x == [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.25, 2.5, 2.75]
    expected = 0.05 * (1 + np.cos(np.pi * np.minimum(np.arange(10), 8) / 8))
    assert chart.series[0].y == pytest.approx(expected)
    assert chart.note.startswith("Adam, up to 4 updates an epoch,")
    sets |= {"fit.steps_per_epoch": 3, "fit.initial_epoch": 2, "fit.epochs": 2}
    assert schedule(open_spec(folder / "bars.yaml", sets), 45).series[0].x == [2]


def test_filters_are_the_kernels(folder):
    model = library.load(folder / "runs/bars/latest")
    (sheet,) = library.plot(model.path, "filters").figures
    kernel = model.weights()["conv2d/kernel"]
    assert len(sheet.tiles) == kernel.shape[-1] == 3
    for number, tile in enumerate(sheet.tiles):
        one = kernel[:, :, 0, number]
        expected = np.round(127.5 + 127.5 * one / np.abs(one).max())
        np.testing.assert_array_equal(np.asarray(tile.image), expected)


def test_the_confusion_matrix_and_the_mistakes_are_those_of_evaluate(folder):
    evaluation = library.load(folder / "runs/bars/latest").evaluate()
    (matrix,) = library.plot(folder / "runs/bars/latest", "confusion").figures
    counts = [[int(text or 0) for text in row] for row in matrix.texts]
    assert counts == evaluation.confusion.tolist()
    (shares,) = library.plot(folder / "runs/bars/latest", "confusion", normalize="true").figures
    sums = [sum(int(text or 0) for text in row) for row in shares.texts]
    assert all(total in (99, 100, 101) for total in sums)
    (sheet,) = library.plot(folder / "runs/bars/latest", "mistakes").figures
    assert [tile.captions[0] for tile in sheet.tiles] == [f"is {mistake.label}" for mistake in evaluation.mistakes]
    with np.load(folder / "bars.npz") as arrays:
        images = arrays["x_test"]
    for tile, mistake in zip(sheet.tiles, evaluation.mistakes, strict=True):
        image = images[mistake.index]
        spread = np.round((image - image.min()) * 255 / (image.max() - image.min()))
        np.testing.assert_allclose(np.asarray(tile.image), spread, atol=1)


@pytest.mark.parametrize("kind", ["mermaid", "dot"])
def test_diagrams_are_also_text(folder, kind):
    done = cnncli(folder, "plot", "bars.yaml", "--format", kind)
    assert "Conv2D" in done.stdout
    assert cnncli(folder, "plot", "bars.yaml", "-o", f"m.{kind}").returncode == 0
    assert (folder / f"m.{kind}").read_text() == done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bars.yaml", "-o", "x.jpg"], "pictures are written as .svg or .png; received 'x.jpg'"),
        (["bars.yaml", "-o", "x"], "pictures are written as .svg or .png; received 'x'"),
        (["bars.yaml", "-o", "x.svg", "--format", "png"], "--format png and -o x.svg contradict each other"),
        (["bars.yaml", "-o", "x.svg", "--dpi", "90"], "--dpi is for PNG files: an SVG is sharp at any size"),
        (["bars.yaml", "--what", "curves", "--format", "dot"], "--format dot is for --what model, not for curves"),
        (["bars.yaml", "--normalize", "true"], "--normalize is for --what confusion, not for model"),
        (
            ["bars.yaml", "--what", "curves", "--weights", "last"],
            "--weights is for --what filters or confusion or mistakes or calibration or roc or precision-recall, "
            "not for curves",
        ),
        (["bars.yaml", "--what", "filters", "--layer", "x"], "'x' is no convolution; there are conv2d"),
        (["bars.yaml", "--what", "roc", "--class", "2"], "a class must be one of 0, 1, or its number; received '2'"),
        (["bars.yaml", "--what", "filters", "--layer", "conv"], "'conv' is no convolution; did you mean 'conv2d'?"),
        (["curves"], "there is no spec, run or model file 'curves'; write `cnncli plot --what curves`"),
        (["bras.yaml"], "there is no spec, run or model file 'bras.yaml'; did you mean 'bars.yaml'?"),
        (
            ["bars.yaml", "--what", "curvs"],
            "--what must be one of model, curves, schedule, augment, filters, confusion, mistakes, calibration, roc, "
            "precision-recall; received 'curvs'; did you mean 'curves'?",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder, arguments, message):
    done = cnncli(folder, "plot", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


def test_a_model_file_outside_its_run_has_no_curves(folder, tmp_path):
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes((folder / "runs/bars/latest/best.safetensors").read_bytes())
    done = cnncli(folder, "plot", moved, "--what", "curves")
    assert done.returncode == 2
    assert "is a model file outside its run" in done.stderr
    assert cnncli(folder, "plot", moved, "--what", "filters", "-o", tmp_path / "f.svg").returncode == 0


def test_the_layers_of_a_spec_are_drawn_without_numpy(folder):
    code = (
        "import sys; from cnncli.cli import main;"
        "main.main(['plot', 'bars.yaml', '-o', 'm.svg'], standalone_mode=False);"
        "print({'numpy', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_curves_of_a_training_are_printed_at_its_end(folder):
    done = cnncli_process(folder, "train", "bars.yaml", "--plot", "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert "Loss by epoch" in done.stdout
    assert "━━ validation" in done.stdout
    assert "\x1b" not in done.stdout
    for other in ("--json", "--quiet", "--dry-run"):
        refused = cnncli(folder, "train", "bars.yaml", "--plot", other)
        assert refused.returncode == 2
        assert (
            f"--plot shows the curves of a training; it can't be used with {other}" in refused.stderr + refused.stdout
        )


def test_evaluate_writes_all_its_pictures_at_once(folder, tmp_path):
    done = cnncli(folder, "evaluate", "bars.yaml", "--plots", tmp_path / "a/b")
    assert done.returncode == 0, done.stderr
    names = ["confusion.svg", "mistakes.svg", "calibration.svg", "roc.svg", "precision-recall.svg"]
    assert done.stdout.splitlines()[-1] == f"plots          {tmp_path / 'a/b'}: {', '.join(names)}"
    assert sorted(path.name for path in (tmp_path / "a/b").iterdir()) == sorted(names)
    (tmp_path / "file").write_text("")
    refused = cnncli(folder, "evaluate", "bars.yaml", "--plots", tmp_path / "file")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == f"error: {tmp_path / 'file'}: can't be made: File exists"


def test_curves_say_that_a_run_diverged(tmp_path):
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC)
    changes = ["--set", "compile.optimizer={SGD: {learning_rate: 1.0e+30}}", "--epochs", 3, "-o", tmp_path / "lost"]
    assert cnncli(tmp_path, "train", "bars.yaml", *changes).returncode == 3
    (tmp_path / "lost" / "metrics.jsonl").write_text('{"epoch": 1, "loss": 0.7, "val_loss": 0.8}\n')
    (chart,) = library.plot(tmp_path / "lost", "curves").figures
    assert chart.note.startswith("diverged: the loss is ")
    done = cnncli(tmp_path, "plot", tmp_path / "lost", "--what", "curves", "-o", tmp_path / "lost.svg")
    assert "diverged: the loss is " in (tmp_path / "lost.svg").read_text(), done.stderr


def test_of_a_model_without_classes_evaluate_draws_nothing_and_says_so(tmp_path):
    small.write_data(tmp_path)
    spec = SPEC.replace("activation: softmax", "activation: linear").replace("units: 2", "units: 1")
    spec = spec.replace("dataset: bars.npz", "dataset: bars.npz\n  targets: values")
    (tmp_path / "bars.yaml").write_text(spec.replace("categorical_crossentropy", "mse").replace("[accuracy]", "[mae]"))
    assert cnncli(tmp_path, "train", "bars.yaml").returncode == 0
    done = cnncli(tmp_path, "evaluate", "--plots", "made")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "plots          none: there are pictures of classes only",
    )
    assert not (tmp_path / "made").exists()
