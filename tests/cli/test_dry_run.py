"""`train --dry-run`: what a training would be and want, told without leaving anything."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from cnncli.report.tables.forecast import seconds
from cnncli.training.loop import forecast
from tests.cli.test_train import SPEC, child_environment, cnncli, cnncli_process
from tests.training import small

MEASURED = """
import atexit, re, resource, sys
from pathlib import Path
from cnncli.cli import main

def most():
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 1024 * int(re.search("VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

atexit.register(lambda: print(most()))
main()
"""
"""`cnncli`, and at last the most bytes that its process held. (Linux counts ru_maxrss from its parent's memory on.)"""


@pytest.fixture
def folder(tmp_path):
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC)
    return tmp_path


def test_it_tells_shapes_parameters_flops_memory_and_time_and_writes_nothing(folder):
    before = sorted(folder.rglob("*"))
    done = cnncli_process(folder, "train", "bars.yaml", "--dry-run", "--epochs", 5)  # the tests' holds what others left
    assert (done.returncode, done.stderr) == (0, "")
    header, *table, memory, time = done.stdout.splitlines()
    assert header.startswith("bars: 86 parameters · 45 training, 5 validation, 9 test (bars.npz)")
    cells = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in table]
    # 6 × 6 outputs of 3 filters, each of 9 products and sums and a bias; ReLU counts one more operation
    assert ["conv2d (Conv2D)", "6 × 6 × 3", "3 × 3", "30"] in [row[:4] for row in cells]
    assert table[-1].startswith("86 parameters, all trainable · 344 B of weights · ")
    assert re.fullmatch(
        r"memory  about \d+ MB at most: \d+ MB of Python and its libraries, 12 MB of kernels, 15\.6 kB of data, "
        r"[\d.]+ kB of arrays, [\d.]+ k?B of checkpoints",
        memory,
    )
    period = r"[\d.]+ (ms|s)"
    pattern = rf"time    about {period} an epoch: 6 batches in {period}, validation in {period}, 5 epochs in {period}"
    assert re.fullmatch(pattern, time)
    assert sorted(folder.rglob("*")) == before


def test_as_json_it_is_one_object(folder):
    (line,) = cnncli(folder, "train", "bars.yaml", "--dry-run", "--json", "--threads", 2).stdout.splitlines()
    told = json.loads(line)
    assert (told["event"], told["name"], told["parameters"], told["threads"]) == ("dry_run", "bars", 86, 2)
    assert told["samples"] == {"train": 45, "validation": 5, "test": 9}
    assert (told["epochs"], told["batch_size"], told["batches"]) == (2, 8, 6)
    assert [layer["name"] for layer in told["layers"]] == ["conv2d", "max_pooling2d", "flatten", "dense"]
    memory, period = told["memory"], told["epoch_seconds"]
    assert memory["data"] == 59 * (8 * 8 * 4 + 8)  # float32 pixels, and int64 class numbers
    assert memory.pop("total") == sum(memory.values())
    assert period["total"] == period["training"] + period["validation"] > 0


def test_phases_are_told_with_the_memory_of_the_largest(folder, monkeypatch):
    monkeypatch.setattr(forecast, "WHILE", 0.0)
    freeze = ("--set", "model.freeze=[conv2d]")
    sets = (*freeze, "--set", "model.unfreeze_at=3")
    dry = ("train", "bars.yaml", "--dry-run", "--epochs", 5)
    one, two, frozen = (json.loads(cnncli(folder, *dry, *more, "--json").stdout) for more in ((), sets, freeze))
    assert two["memory"]["arrays"] == one["memory"]["arrays"] > frozen["memory"]["arrays"]
    assert "phases" not in one
    assert all(phase.pop("training_seconds") > 0 for phase in two["phases"])
    kept = {"parameters": 86, "rate_factor": 1.0}
    phases = [{"first": 1, "last": 2, "trainable_parameters": 56}, {"first": 3, "last": 5, "trainable_parameters": 86}]
    assert two["phases"] == [{**phase, **kept} for phase in phases]
    lines = cnncli(folder, *dry, *sets).stdout.splitlines()[-2:]
    assert re.fullmatch(r"epochs 1–2: 56 of 86 parameters train; [\d.]+ m?s an epoch", lines[0])
    assert re.fullmatch(r"epochs 3–5: all 86 parameters train; [\d.]+ m?s an epoch", lines[1])


def test_the_memory_it_foretells_is_what_the_process_will_hold(folder):
    """Data and arrays of some 40 MB, so that they count."""
    random = np.random.default_rng(0)
    images = random.integers(256, size=(8000, 64, 64, 1), dtype=np.uint8)
    np.savez(folder / "many.npz", x_train=images, y_train=random.integers(2, size=8000))
    options = ("many.yaml", "--batch-size", "256", "--epochs", "1")
    (folder / "many.yaml").write_text(SPEC.replace("bars.npz", "many.npz").replace("filters: 3", "filters: 16"))
    cnncli_measured(folder, "warmup", "many.yaml")  # of a process that compiles, the compiler would count
    told = json.loads(cnncli_measured(folder, "train", *options, "--dry-run", "--json")[0])
    assert min(told["memory"]["data"], told["memory"]["arrays"]) > 15e6
    *_, most = cnncli_measured(folder, "train", *options)
    assert told["memory"]["total"] == pytest.approx(int(most), rel=0.15)


def cnncli_measured(folder, *arguments):
    """The lines that the command prints, and the bytes of its process."""
    command = [sys.executable, "-c", MEASURED, *arguments]
    return subprocess.run(
        command, cwd=folder, env=child_environment(), capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_the_time_of_an_epoch_follows_from_that_of_its_images_without_the_first_batch(monkeypatch):
    """Two seconds an image, the first batch a minute: 11 images take 22."""
    now, seen = [0.0], []
    monkeypatch.setattr(forecast, "perf_counter", lambda: now[0])

    def run(rows):
        now[0] += 2 * len(rows) if seen else 60
        seen.append(rows.tolist())

    assert forecast._seconds(run, np.arange(11), 4) == 22
    assert seen == [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]]
    seen.clear()
    assert forecast._seconds(run, np.arange(3), 4) == 6  # one batch, which is not whole


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "12 ms"), (0.25, "250 ms"), (1.84, "1.8 s"), (26, "26 s"), (162, "2.7 min"), (18_000, "5 h")],
)
def test_times_are_told_as_exactly_as_they_are_known(value, text):
    assert seconds(value) == text


def test_a_dry_run_holds_data_weights_and_output_against_the_model(folder):
    cnncli(folder, "train", "bars.yaml", "--epochs", 0, "--output", "run")
    with np.load(folder / "bars.npz") as arrays:
        np.savez(folder / "classes.npz", x_train=arrays["x_train"], y_train=arrays["y_train"] + 1)
    mistakes = (
        ("--set", "data.dataset=classes.npz"),
        ("--set", "model.layers.0.filters=4", "--weights", "run"),
        ("--output", "run"),
    )
    before = sorted(folder.iterdir())
    errors = [cnncli(folder, "train", "bars.yaml", "--dry-run", *options).stderr for options in mistakes]
    assert all(error.startswith("error: ") and error.count("\n") == 1 for error in errors)
    assert "class numbers below 2" in errors[0]
    assert "conv2d/kernel" in errors[1]
    assert "run has something in it" in errors[2]
    assert sorted(folder.iterdir()) == before
