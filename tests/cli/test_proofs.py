"""`verify-resume` and `train --deterministic-check`: what holds, what is told if it does not, and nothing left."""

import json
import re

import pytest

from cnncli.cli import proofs
from cnncli.graph.network import Network
from cnncli.training.loop import resumption
from tests.cli.test_train import cnncli

SPEC = """\
data: {dataset: {synthetic: {image_shape: [8, 8, 1], classes: 2, train: 40, test: 8}}, validation_split: 0.2}
model:
  layers:
    - Conv2D: {filters: 2, kernel_size: 3}
    - BatchNormalization
    - Dropout: {rate: 0.2}
    - Flatten
    - Dense: {units: 2, activation: softmax}
compile: {optimizer: adam, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 2, batch_size: 8, callbacks: [EarlyStopping: {patience: 3, restore_best_weights: true}]}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a spec, and an empty one for temporary files, which stays so.

    By default, proofs use 2 and 4 threads: the tests' process has no more.
    """
    monkeypatch.setattr(proofs, "available", lambda: 1)
    monkeypatch.setattr(proofs, "MORE", 2)
    (tmp_path / "tiny.yaml").write_text(SPEC)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    yield tmp_path
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["temporary", "tiny.yaml"]


def test_a_training_is_resumed_to_the_same_bits(folder):
    done = cnncli(folder, "verify-resume", "tiny.yaml", "--times", 3)
    assert (done.returncode, done.stderr) == (0, "")
    straight, *trials, verdict = done.stdout.splitlines()
    assert re.fullmatch(r"straight: 8 batches, seed 0, sha256:[0-9a-f]{64}", straight)
    places = [
        re.fullmatch(r"interrupted after batch (\d) \(epoch (\d), batch (\d)\), resumed: same bits", trial).groups()
        for trial in trials
    ]
    numbers = [tuple(map(int, place)) for place in places]
    assert len(set(numbers)) == 3
    assert all(number == 4 * (epoch - 1) + batch and 1 <= batch <= 4 for number, epoch, batch in numbers)
    assert verdict == "proved: tiny resumes to the same bits: 3 interruptions after random batches"
    assert cnncli(folder, "verify-resume", "tiny.yaml", "--times", 3).stdout == done.stdout


def test_more_times_than_batches_interrupt_after_each(folder):
    data = json.loads(cnncli(folder, "verify-resume", "tiny.yaml", "--times", 99, "--json").stdout)
    assert data["equal"]
    assert [trial["interrupted_after"]["batches"] for trial in data["trials"]] == list(range(1, 9))


def test_the_interruption_is_named_after_which_bits_differ(folder, monkeypatch):
    monkeypatch.setattr(resumption, "fill", lambda tensors, values: None)  # the optimizer's state is lost
    done = cnncli(folder, "verify-resume", "tiny.yaml", "--times", 1)
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: the training gave other bits interrupted after batch \d \(epoch \d, batch \d\): best.safetensors, "
        r"last.safetensors, metrics.jsonl(, test)? differ\n",
        done.stderr,
    )
    assert "proved" not in done.stdout


def test_one_and_two_threads_give_the_same_bits(folder):
    done = cnncli(folder, "train", "tiny.yaml", "--deterministic-check", "--threads", 2)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, verdict = done.stdout.splitlines()
    assert re.fullmatch(r"1 thread: 8 batches, sha256:[0-9a-f]{64}", first)
    assert (second, verdict) == ("2 threads: same bits", "proved: tiny gives the same bits with 1 and 2 threads")


def test_more_threads_than_cpus_are_tried_too(folder):
    done = cnncli(folder, "train", "tiny.yaml", "--deterministic-check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == [
        "2 threads: same bits",
        "4 threads: same bits",
        "proved: tiny gives the same bits with 1, 2 and 4 threads",
    ]


def test_bits_that_only_more_threads_change_are_told(folder, monkeypatch):
    initialize = Network.initialize

    def odd(network, seed):
        initialize(network, seed)
        network.weights.data[0] += network.threads > 2

    monkeypatch.setattr(Network, "initialize", odd)
    done = cnncli(folder, "train", "tiny.yaml", "--deterministic-check")
    assert done.returncode == 1
    assert done.stdout.splitlines()[1] == "2 threads: same bits"
    assert done.stderr.startswith("error: the training gave other bits with 4 threads instead of 1: best.safetensors, ")


def test_threads_that_give_other_bits_are_told(folder, monkeypatch):
    initialize = Network.initialize

    def odd(network, seed):
        initialize(network, seed)
        network.weights.data[0] += network.threads

    monkeypatch.setattr(Network, "initialize", odd)
    done = cnncli(folder, "train", "tiny.yaml", "--deterministic-check", "--threads", 2, "--json")
    assert done.returncode == 1
    (trial,) = json.loads(done.stdout.splitlines()[0])["trials"]
    assert (trial["threads"], trial["equal"]) == ([1, 2], False)
    assert done.stderr.startswith("error: the training gave other bits with 2 threads instead of 1: best.safetensors, ")


@pytest.mark.parametrize("arguments", [("verify-resume", "tiny.yaml"), ("train", "tiny.yaml", "--deterministic-check")])
def test_a_training_that_diverges_names_no_file_that_is_gone(folder, arguments):
    done = cnncli(folder, *arguments, "--set", "compile.optimizer.Adam.learning_rate=1e38")
    assert done.returncode == 3
    assert done.stderr.startswith("error: ")
    assert str(folder) not in done.stderr


def test_a_check_leaves_no_run_to_be_named(folder):
    done = cnncli(folder, "train", "tiny.yaml", "--deterministic-check", "--output", "run")
    said = "--deterministic-check compares trainings and leaves no run; it can't be used with --output"
    assert (done.returncode, done.stderr) == (2, f"error: {said}\n")
