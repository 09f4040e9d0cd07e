"""`cnncli lr-find`: the chart, the suggestion and the command that uses it."""

import json
import re
import shlex
from xml.etree import ElementTree

import pytest

from tests.cli.test_train import cnncli

SPEC = """\
data: {dataset: {synthetic: {image_shape: [8, 8, 1], classes: 2, train: 64, test: 8}}}
model: {layers: [Flatten, Dense: {units: 2, activation: softmax}]}
compile:
  optimizer: {SGD: {learning_rate: {CosineDecay: {initial_learning_rate: 0.1, decay_steps: 9}}}}
  loss: categorical_crossentropy
fit: {batch_size: 32}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my spec.yaml").write_text(SPEC)
    return tmp_path


def test_the_suggestion_comes_with_a_chart_and_the_command_that_uses_it(folder):
    done = cnncli(folder, "lr-find", "my spec.yaml", "--set", "seed=1", "-o", "rates.svg", "--updates", 60)
    assert (done.returncode, done.stderr) == (0, "")
    first, *_, suggested, following, file = done.stdout.splitlines()
    assert first == "Loss of my spec with SGD by learning rate"
    rate = re.fullmatch(
        r"suggested  (\S+), a tenth of the rate of the least loss, as the highest rate of CosineDecay", suggested
    )[1]
    name, *words = shlex.split(following.removeprefix("next       "))
    key = "compile.optimizer.SGD.learning_rate.CosineDecay.initial_learning_rate"
    assert (name, words) == (
        "cnncli", ["train", "my spec.yaml", "--set", "seed=1", "--set", f"{key}={float(rate):g}"],
    )  # fmt: skip
    assert cnncli(folder, *words, "--output", "run").returncode == 0
    assert json.loads((folder / "run/metrics.jsonl").read_text())["learning_rate"] <= float(rate)
    assert file == "rates.svg"
    assert ElementTree.parse(folder / "rates.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_json_has_all_numbers_the_same_every_time_and_nothing_is_written(folder):
    before = sorted(folder.iterdir())
    first, again = (cnncli(folder, "lr-find", "my spec.yaml", "--json", "--threads", n) for n in (1, 2))
    assert first.stdout == again.stdout
    data = json.loads(first.stdout)
    assert data["set"].endswith(f"initial_learning_rate={data['suggestion']:g}")
    assert data["rates"][0] == 1e-6
    assert len(data["rates"]) == len(data["losses"]) == len(data["smoothed"]) <= 150
    assert data["least_loss_at"] == data["rates"][data["smoothed"].index(min(data["smoothed"][10:]))]
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("--from", "1", "--to", "0.1"), 2, "--from must be below --to; received 1 and 0.1"),
        (("--to", "nan"), 2, "--to must be a number from 1e-12 to 1000000.0; received 'nan'"),
        (("--from", "0"), 2, "--from must be a number from 1e-12 to 1000000.0; received '0.0'"),
        (("-o", "rates.pdf"), 2, "pictures are written as .svg or .png; received 'rates.pdf'"),
        (("--from", "1e-9", "--to", "1e-8"), 1, "the loss, "),
    ],
)
def test_what_can_not_be_tested_is_one_line(folder, arguments, code, error):
    done = cnncli(folder, "lr-find", "my spec.yaml", *arguments)
    assert done.returncode == code
    assert done.stderr.startswith(f"error: {error}")
    assert done.stderr.count("\n") == 1


def test_a_loss_that_falls_to_the_end_asks_for_higher_rates(folder):
    done = cnncli(folder, "lr-find", "my spec.yaml", "--from", "1e-4", "--to", "0.01")
    assert done.stderr == "notice: the loss was still falling at the last rate: --to tests higher ones\n"
