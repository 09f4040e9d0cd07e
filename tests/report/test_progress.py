import json
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from io import StringIO

import pytest

from cnncli.graph.matching import Matched
from cnncli.report.terminal import figures, progress
from cnncli.report.terminal.figures import figure, fitted
from cnncli.report.terminal.progress import Follower
from cnncli.training.events import BatchDone, Begun, EpochDone, PhaseBegins, Progress, WeightsLoaded
from tests.report.terminal import screen
from tests.report.test_bar import sums


@pytest.fixture
def terminal(monkeypatch):
    """Standard output is 80 columns wide."""
    for module in (progress, figures):
        monkeypatch.setattr(module, "columns", lambda: 80)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.865, "0.8650"),
        (1.0, "1.0000"),
        (0.0, "0.0000"),
        (0.09514, "0.0951"),
        (0.00012346, "1.23e-04"),
        (-0.5, "-0.5000"),
        (2.30259, "2.3026"),
        (12.3456, "12.35"),
        (1234.56, "1235"),
        (123456.0, "1.235e+05"),
        (float("inf"), "inf"),
    ],
)
def test_figures_are_equally_long_and_say_enough(value, expected):
    assert figure(value) == expected


def epoch(number, loss, accuracy, val_loss, val_accuracy):
    figures = {"epoch": number, "loss": loss, "accuracy": accuracy, "val_loss": val_loss, "val_accuracy": val_accuracy}
    return EpochDone(figures, 1.5, 2400.4)


@contextmanager
def following(epochs):
    """A follower that has shown that a training of so many epochs begins."""
    with Follower("text") as follower, redirect_stdout(StringIO()):
        follower(Begun("bars", 10, {"train": 8}, "bars.npz", 2, 3, epochs))
    with follower:
        yield follower


def lines(capsys, epochs=15):
    with following(epochs) as follower:
        follower(epoch(9, 1.0951, 0.865, 12.5, 0.95))
        follower(epoch(10, 0.0951, 0.9525, 0.25, 1.0))
    return capsys.readouterr().out.splitlines()


def test_the_columns_of_epochs_are_aligned(capsys):
    first, second = lines(capsys)
    assert first == "epoch 9/15   loss 1.0951  accuracy 0.8650  val_loss 12.50   val_accuracy 0.9500  2,400 images/s"
    assert second == "epoch 10/15  loss 0.0951  accuracy 0.9525  val_loss 0.2500  val_accuracy 1.0000  2,400 images/s"


@pytest.mark.usefixtures("terminal")
def test_an_epoch_is_one_line_on_a_terminal_of_80_columns(capsys):
    first, second = lines(capsys)
    assert first == "epoch 9/15   loss 1.0951  accuracy 0.8650  val_loss 12.50   val_accuracy 0.9500"
    assert len(second) <= 80
    scheduled = epoch(9, 1.0951, 0.865, 12.5, 0.95)
    with following(15) as follower:
        follower(replace(scheduled, figures={**scheduled.figures, "learning_rate": 0.002}))
    assert capsys.readouterr().out.splitlines() == [first]


@pytest.mark.usefixtures("terminal")
def test_what_does_not_fit_a_terminal_is_broken_between_its_parts():
    assert fitted(["a" * 50, "b" * 27, "c"], " · ") == f"{'a' * 50} · {'b' * 27}\n  c"


def test_what_goes_into_a_file_is_never_broken():
    assert fitted(["a" * 500, "b" * 270], " · ") == f"{'a' * 500} · {'b' * 270}"


def test_the_best_epoch_so_far_has_a_star_on_a_terminal_and_the_columns_stay(capsys, monkeypatch):
    monkeypatch.setattr(progress, "columns", lambda: 200)
    with following(15) as follower:
        follower(replace(epoch(9, 1.0951, 0.865, 0.75, 0.95), best=True))
        follower(replace(epoch(10, 0.0951, 0.9525, 0.5, 1.0), best=True))
        follower(epoch(11, 0.0951, 0.9525, 0.75, 1.0))
    starts = [line[:24] for line in capsys.readouterr().out.splitlines()]
    assert starts == ["epoch 9/15*  loss 1.0951", "epoch 10/15* loss 0.0951", "epoch 11/15  loss 0.0951"]


def test_away_from_a_terminal_a_line_has_the_same_form_whether_it_is_the_best_or_not(capsys):
    with following(2) as follower:
        follower(replace(epoch(1, 1.0951, 0.865, 0.75, 0.95), best=True))
    assert capsys.readouterr().out.startswith("epoch 1/2  loss 1.0951  accuracy")


PHASE = PhaseBegins(3, 5, 1290, 1443, 0.1)
LOADED = WeightsLoaded("old", Matched({"a": "a"}, {"a": (3, 1)}, {"b": "kernel: none here"}, ["c"], ["d"]))


def test_a_phase_that_begins_has_a_line(capsys):
    with following(5) as follower:
        follower(PHASE)
    assert capsys.readouterr().out == "epochs 3–5: 1,290 of 1,443 parameters train, at 0.1 × the learning rate\n"


def test_phases_and_loaded_weights_are_events(capsys):
    for mode in ("json", "quiet"):
        with Follower(mode) as follower:
            follower(LOADED)
            follower(PHASE)
    said = capsys.readouterr()
    assert [json.loads(line) for line in said.out.splitlines()] == [
        {
            "event": "weights",
            "file": "old",
            "loaded": {"a": "a"},
            "adapted": {"a": [3, 1]},
            "unlike": {"b": "kernel: none here"},
            "missing": ["c"],
            "unused": ["d"],
        },
        {
            "event": "phase",
            "first": 3,
            "last": 5,
            "trainable_parameters": 1290,
            "parameters": 1443,
            "rate_factor": 0.1,
        },
    ]
    assert said.err == f"{LOADED}\n"


def test_a_notice_takes_the_place_of_the_one_before_and_never_that_of_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(progress, "animated", lambda: True)
    with following(2) as follower:
        follower(Progress("compiling kernels …"))
        follower(Progress("compiling kernels … conv2d is ready"))
        follower(Progress("compiling kernels … all"))
        written = capsys.readouterr().err
        assert screen(written) == ["compiling kernels … all"]
        follower(BatchDone(1, 1, 6, sums(8, 4.0, 2)))
        written += capsys.readouterr().err
        follower(Progress("compiling kernels … a latecomer is ready"))
        written += capsys.readouterr().err
        assert "epoch 1/2" in screen(written)[0]
        assert "compiling" not in "".join(screen(written))
    assert screen(written + capsys.readouterr().err) == []


def test_with_no_color_or_a_dumb_terminal_nothing_moves(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as context:
            context.setenv("TERM", "xterm")
            context.delenv("NO_COLOR", raising=False)
            assert progress.animated()
            context.setenv(name, value)
            assert not progress.animated()
