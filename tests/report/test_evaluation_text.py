"""What `evaluate` prints, at 80 columns, with and without colors."""

import io
import re
from contextlib import redirect_stdout

import numpy as np
import pytest

from cnncli.report.tables.evaluation import print_evaluation
from cnncli.training.metrics.evaluation_record import Evaluation
from cnncli.training.metrics.statistics import class_numbers, confusion_matrix

CODES = re.compile(r"\x1b\[[\d;?]*[a-zA-Z]")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def made(names, count=600, boost=3.0):
    """An evaluation with random scores, which favour the labels."""
    random = np.random.default_rng(4)
    labels = random.integers(0, len(names), count)
    logits = random.standard_normal((count, len(names)))
    logits[np.arange(count), labels] += boost
    scores = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
    matrix = confusion_matrix(labels, class_numbers(scores), len(names))
    return Evaluation("test", count, {"loss": 1.0}, names, matrix, [], scores=scores, labels=labels)


def printed(evaluation, file=None, **options):
    file = file or io.StringIO()
    with redirect_stdout(file):
        print_evaluation(evaluation, **options)
    return file.getvalue()


@pytest.fixture
def terminal(monkeypatch):
    """What is printed on a terminal of 80 columns, without colors unless they are asked for."""

    def on(evaluation, *, colors=False, **options):
        for name, value in {"COLUMNS": "80", "TERM": "xterm-256color", "COLORTERM": "truecolor"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("NO_COLOR", raising=False)
        if not colors:
            monkeypatch.setenv("NO_COLOR", "1")
        return printed(evaluation, Terminal(), **options)

    return on


def lines_of(text):
    return [CODES.sub("", line).rstrip() for line in text.splitlines()]


DIGITS = list(map(str, range(10)))


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (DIGITS, {}),
        (DIGITS, {"normalize": "true", "top_k": 3}),
        (["a" * 90, "b" * 90], {}),
        ([f"a class with a long name, number {number}" for number in range(12)], {"normalize": "all"}),
        (list(map(str, range(100))), {"top_k": 5, "all_classes": True}),
        ([f"class number {number} of a thousand classes with names" for number in range(1000)], {"top_k": 5}),
    ],
)
def test_nothing_is_wider_than_80_columns(terminal, names, options):
    lines = lines_of(terminal(made(names), **options))
    assert max(map(len, lines)) <= 80
    starts = [line.strip()[:10] for line in lines]
    assert all(any(start.startswith(name[:10]) for start in starts) for name in names[:20] if len(names) <= 20)


def test_shading_is_only_color_and_tells_shares(terminal):
    evaluation = made(DIGITS)
    colored, plain = terminal(evaluation, colors=True), terminal(evaluation)
    assert lines_of(colored) == lines_of(plain)
    assert "48;2;" not in plain
    matrix = colored.split("true \\ predicted")[1].split("most confused")[0]
    cells = re.findall(r"\x1b\[38;2;255;255;255;48;2;(\d+);(\d+);(\d+)m *(\d+)\x1b", matrix)
    assert sorted(int(count) for *_, count in cells) == sorted(evaluation.confusion[evaluation.confusion > 0].tolist())
    greens = [int(count) for red, green, _, count in cells if int(green) > int(red)]
    assert greens == evaluation.confusion.diagonal().tolist()


def test_colors_are_left_out_away_from_a_terminal():
    assert "\x1b" not in printed(made(DIGITS), normalize="true")


def test_a_row_has_what_scikit_learn_reports_and_averages_follow(capsys):
    evaluation = made(["cat", "dog"])
    print_evaluation(evaluation)
    words = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert words[0] == ["class", "precision", "recall", "F1", "AUC", "samples"]
    _, dog = evaluation.rows()
    figures = (dog.precision, dog.recall, dog.f1, dog.roc_auc)
    assert words[3] == ["dog", *(f"{value:.3f}" for value in figures), str(dog.support)]
    assert [row[:2] for row in words[4:6]] == [["macro", "average"], ["weighted", "average"]]
    assert [row[0] for row in words[-3:]] == ["ROC", "threshold", "calibration"]
    best = evaluation.best_thresholds()
    assert " ".join(words[-2][1:]) == (
        f"F1 {best['f1'].value:.4f} at {best['f1'].threshold:.4f} "
        f"Youden's J {best['youden'].value:.4f} at {best['youden'].threshold:.4f}"
    )
    assert words[-1][1:3] == ["ECE", f"{evaluation.calibration().ece:.4f}"]


def test_of_many_classes_the_worst_are_shown_first_and_the_others_counted():
    names = [f"c{number}" for number in range(50)]
    evaluation = made(names)
    lines = lines_of(printed(evaluation, top_k=5))
    rows = sorted(evaluation.rows(), key=lambda row: row.f1)
    assert [line.split()[0] for line in lines[3:23]] == [row.name for row in rows[:20]]
    assert "the lowest F1 first; 30 more classes are left out (--all-classes shows all)" in lines
    assert not any("true \\ predicted" in line for line in lines)
    pair = evaluation.confused_pairs()[0]
    first = next(line for line in lines[lines.index(next(line for line in lines if "taken for" in line)) + 2 :])
    assert first.split() == [pair.label, pair.predicted, str(pair.count), f"{100 * pair.share:.1f}", "%"]
    assert f"top-5          {evaluation.top_k(5):.4f}" in lines
    everything = lines_of(printed(evaluation, all_classes=True))
    assert [line.split()[0] for line in everything[3:53]] == names
    assert not any("left out" in line for line in everything)


def test_a_class_without_samples_and_predictions_has_dashes():
    evaluation = Evaluation("test", 3, {}, ["a", "b"], np.array([[3, 0], [0, 0]]), [])
    rows = [line.split() for line in printed(evaluation, normalize="true").splitlines()]
    assert ["b", "–", "–", "–", "0"] in rows
    assert ["b", "–", "–"] in rows  # in the matrix
    assert ["macro", "average", "1.000", "1.000", "1.000", "3"] in rows


def test_shares_of_the_matrix_are_percent():
    text = printed(Evaluation("test", 8, {}, ["a", "b"], np.array([[3, 1], [0, 4]]), []), normalize="true")
    assert "% of each true class" in text
    assert ["a", "75", "25"] in [line.split() for line in text.splitlines()]
    text = printed(Evaluation("test", 8, {}, ["a", "b"], np.array([[3, 1], [0, 4]]), []), normalize="predicted")
    assert ["a", "100", "20"] in [line.split() for line in text.splitlines()]


def test_masks_have_dice_and_iou():
    matrix = np.array([[30, 10], [0, 60]])
    rows = [
        line.split() for line in printed(Evaluation("test", 2, {}, ["sky", "tree"], matrix, [], "pixels")).splitlines()
    ]
    assert ["class", "precision", "recall", "Dice", "IoU", "pixels"] in rows
    assert ["sky", "1.000", "0.750", "0.857", "0.750", "40"] in rows
    assert ["mean", "IoU", f"{(30 / 40 + 60 / 70) / 2:.4f}"] in rows


def test_names_with_line_breaks_keep_their_line():
    evaluation = made(["a\nb", "c\td", "e"])
    text = printed(evaluation)
    assert "a\\nb" in text
    assert not [line for line in text.splitlines() if line.startswith("b")]
