"""Words looked up: every one has an example that a spec takes, and a name that is not there is told what is meant."""

import json

import pytest

from cnncli.layers.layer import LAYERS
from cnncli.report.tables.vocabulary import find, unknown, words
from cnncli.spec.spec import parse
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.reader import read
from cnncli.spec.yaml.tree import plain

WORDS = words()
BASE = {
    "data": {"dataset": "mnist5k", "validation_split": 0.1},
    "model": {"input_shape": [32, 32, 3], "layers": ["Flatten", {"Dense": {"units": 10}}]},
    "compile": {"optimizer": "adam", "loss": "mse"},
}


@pytest.mark.parametrize("word", WORDS, ids=lambda word: f"{word.kind} {word.name}")
def test_every_word_has_a_line_about_it_and_an_example_that_names_it(word):
    assert word.about.endswith(".")
    assert word.name in word.example


@pytest.mark.parametrize("word", WORDS, ids=lambda word: f"{word.kind} {word.name}")
def test_a_spec_takes_every_example(word):
    problems = Problems("example", word.example)
    ((section, example),) = plain(read(word.example, problems)).items()
    if word.kind == "layer":  # alone it may lack inputs that fit: what it says of itself is what counts
        ((name, arguments),) = ({entry: {}} if isinstance(entry := example["layers"][0], str) else entry).items()
        assert LAYERS.find(name)(**arguments)
        return
    if section == "model":
        example["layers"].insert(0, "Flatten")
    spec = {**BASE, section: {**BASE.get(section, {}), **example}}
    assert parse(json.dumps(spec), "spec.yaml", check_data=False)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("Conv2D", ["layer"]), ("relu", ["activation"]), ("ELU", ["layer"]), ("adam", ["optimizer"]), ("fit", ["section"]),
     ("RandomFlip", ["augmentation"]), ("l2", ["regularizer"]), ("MaxPool2D", ["layer"]), ("conv2d", ["layer"]),
     ("swish", ["activation"]), ("acc", ["metric"]), ("Softmax", ["layer"]), ("softmax", ["activation"])],
)  # fmt: skip
def test_words_are_found_by_every_name_that_a_spec_may_use(name, kinds):
    assert [word.kind for word in find(name, WORDS)] == kinds


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Conv2E", "there is no 'Conv2E'; did you mean 'Conv2D'?"),
        ("Linear", "there is no 'Linear'; here it is called 'Dense'"),
        ("LSTM", "layer 'LSTM' is not supported: it is of sequences, and inputs are images"),
        (
            "ctc",
            "loss 'ctc' (CTC in Keras) is not supported: it aligns sequences, which images have none of: use "
            "categorical_crossentropy",
        ),
        ("kmnist", "'kmnist' is a dataset: `cnncli datasets info kmnist` tells about it"),
        ("units", "'units' is an argument of Dense: `cnncli layers Dense` explains it"),
        ("Input", "there is no Input layer: set `input_shape: [28, 28, 1]` under `model`"),
        ("qqqqq", "there is no 'qqqqq'; `cnncli layers` lists what there is"),
    ],
)
def test_a_name_that_is_not_there_is_told_what_is_meant(name, told):
    assert find(name, WORDS) == []
    assert unknown(name, WORDS) == told


def test_programs_get_names_defaults_and_rules():
    (document,) = [word.document() for word in find("Conv2D", WORDS)]
    arguments = {argument["name"]: argument for argument in json.loads(json.dumps(document))["arguments"]}
    assert arguments["filters"] == {
        "name": "filters", "required": True, "default": None, "rule": "an integer ≥ 1", "about": "",
    }  # fmt: skip
    assert arguments["kernel_initializer"]["default"] == "glorot_uniform"
    assert arguments["strides"]["default"] == [1, 1]
    assert document["example"] == "model:\n  layers:\n    - Conv2D: {filters: 4, kernel_size: 3}"
