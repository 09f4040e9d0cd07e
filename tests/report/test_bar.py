"""The bar of a training, as it stands on the screen."""

import pytest

from cnncli.report.terminal import bar
from cnncli.report.terminal.bar import Bar, clock, sparkline
from cnncli.report.terminal.region import Region
from cnncli.training.events import BatchDone, EpochDone
from cnncli.training.metrics.evaluation import Sums
from cnncli.training.metrics.metrics import Accuracy
from tests.report.terminal import screen


def sums(samples, loss, right):
    """Of so many samples: their losses and right answers together."""
    made = Sums([Accuracy()])
    made.samples, made.losses = samples, [loss]
    made.totals[0].add({"right": right, "answers": samples})
    return made


class Clock:
    """What `perf_counter` says: seconds that pass only when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def time(monkeypatch):
    monkeypatch.setattr(bar, "perf_counter", made := Clock())
    return made


def region(width):
    """One of a terminal of that width, and a column more."""
    return type("Wide", (Region,), {"width": width})()


def shown(capsys, time, width=79, losses=()):
    """The screen after 3 of 10 batches of epoch 5 of 8, half a second a batch of 40; 2 s went by after each epoch."""
    made = Bar(8, region(width))
    for number, loss in enumerate(losses, 1):
        time.now += 5
        made.batch(BatchDone(number, 10, 10, sums(400, 100.0, 300)))
        time.now += 2
        made.epoch(EpochDone({"epoch": number, "loss": 0.5, "val_loss": loss}, 7.0, 80.0))
    for batch in (1, 2, 3):
        time.now += 0.5
        made.batch(BatchDone(5, batch, 10, sums(40 * batch, 8.0 * batch, 30 * batch)))
    return screen(capsys.readouterr().err)


def test_it_tells_how_far_the_epoch_is_how_it_does_and_what_is_left(capsys, time):
    first, second = shown(capsys, time, losses=[0.8, 0.4, 0.2, 0.1])
    assert first == "epoch 5/8  ━━━━━━━━━" + "─" * 21 + "   3/10  loss 0.2000  accuracy 0.7500"
    # 7 batches and the 2 s after them are left: 5.5 s, and then three epochs of 5 + 2 s
    assert second == "80 images/s · 0:06 left of this epoch, 0:27 of all · val_loss █▆▃▁"


def test_before_the_first_epoch_is_done_there_is_no_curve(capsys, time):
    _, second = shown(capsys, time)
    assert second == "80 images/s · 0:04 left of this epoch, 0:19 of all"


@pytest.mark.parametrize("width", [20, 34, 40, 41, 60, 79, 119])
def test_no_line_is_longer_than_the_terminal_is_wide(capsys, time, width):
    lines = shown(capsys, time, width, losses=[1 / number for number in range(1, 60)])
    assert max(map(len, lines)) <= width
    assert all(line.startswith(start) for line, start in zip(lines, ("epoch 5/8", "80 images/s"), strict=True))
    assert ("loss 0.2000" in lines[0]) == (width >= 41)


def test_it_is_drawn_ten_times_a_second_at_most(capsys, time):
    made = Bar(1, region(79))
    for batch in range(1, 1001):
        time.now += 0.001
        made.batch(BatchDone(1, batch, 1000, sums(batch, 1.0, 1)))
    assert capsys.readouterr().err.count("epoch 1/1") == 10


def test_an_epoch_takes_it_away(capsys, time):
    made = Bar(2, region(79))
    made.batch(BatchDone(1, 1, 1, sums(4, 1.0, 1)))
    made.epoch(EpochDone({"epoch": 1, "loss": 0.25}, 1.0, 4.0))
    assert screen(capsys.readouterr().err) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:01"), (6.2, "0:07"), (59.5, "1:00"), (750, "12:31"), (3722.5, "1:02:03")]
)
def test_times_are_those_of_a_clock(seconds, text):
    assert clock(seconds) == text


def test_a_sparkline_goes_from_the_least_to_the_greatest_by_their_logarithms():
    assert sparkline([1.0, 0.1, 0.01]) == "█▅▁"
    assert sparkline([0.5, 0.5]) == "▁▁"
    assert sparkline([1.0, 0.0]) == "█▁"
