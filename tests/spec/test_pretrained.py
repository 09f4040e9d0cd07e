"""`weights` under `model`: a spec whose file is missing or can't be read has a problem at its place."""

import os

import pytest

from cnncli.errors import SpecError
from cnncli.spec.spec import parse
from tests.spec.test_mistakes import HEAD

TEXT = HEAD + "model:\n  weights: WEIGHTS\n  layers:\n    - Flatten\n    - Dense: {units: 10, activation: softmax}\n"


def problem(folder, weights):
    with pytest.raises(SpecError) as caught:
        parse(TEXT.replace("WEIGHTS", weights), "f.yaml", base=folder)
    assert caught.value.exit_code == 2
    return caught.value.problems[0].split("\n")[0]


@pytest.mark.parametrize("weights", ["{}", "{{file: {}, by: order}}"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("runs/moon", "there is no run or model file 'FOLDER/runs/moon'; did you mean 'FOLDER/runs/mono'?"),
        (
            "runs/mono",
            "'FOLDER/runs/mono' is no run with a model: it has no best.safetensors and no last.safetensors",
        ),
        ("text.h5", "FOLDER/text.h5: is not a safetensors file"),
        ("pipe.safetensors", "FOLDER/pipe.safetensors: can't be read: it must be a regular file; it is a named pipe"),
    ],
)
def test_a_file_that_does_not_hold_weights_is_said_in_one_line(tmp_path, weights, name, said):
    (tmp_path / "runs" / "mono").mkdir(parents=True)
    (tmp_path / "runs" / "mono" / "spec.yaml").write_text("")
    (tmp_path / "text.h5").write_text("no weights")
    os.mkfifo(tmp_path / "pipe.safetensors")
    text = problem(tmp_path, weights.format(name))
    assert text.partition(": ")[2] == f"weights: {said}".replace("FOLDER", str(tmp_path))


@pytest.mark.parametrize("written", ["runs/mine", "{file: runs/mine, by: name}"])
def test_weights_keep_their_short_form(tmp_path, written):
    """Without the data, as in a run, the file need not exist; its path is absolute, the pairing said if not by name."""
    spec = parse(TEXT.replace("WEIGHTS", written), "f.yaml", base=tmp_path, check_data=False)
    assert spec.resolved()["model"]["weights"] == str(tmp_path / "runs" / "mine")
    by_order = parse(TEXT.replace("WEIGHTS", "{file: a, by: order}"), "f.yaml", base=tmp_path, check_data=False)
    assert by_order.resolved()["model"]["weights"] == {"file": str(tmp_path / "a"), "by": "order"}
    assert parse(by_order.to_yaml(), "f.yaml", check_data=False) == by_order
