"""Every mistake gets its own message at its own place: the table is mistakes.txt.

A case is a spec, `-->`, and the lines it must get without the file's name. `@head` stands for good data and compile
sections, `@layers` for the beginning of the layers, `@end` for a good end of them, `@every_layer` and
`@every_augmentation` for all names.
"""

from pathlib import Path

import pytest

from cnncli.datasets.section import AUGMENTATIONS
from cnncli.errors import SpecError
from cnncli.layers.vocabulary import layers
from cnncli.spec.spec import parse

HEAD = """\
data: {dataset: mnist5k, validation_split: 0.1}
compile: {optimizer: adam, loss: categorical_crossentropy, metrics: [accuracy]}
"""
SHORT = {
    "@head\n": HEAD,
    "@layers\n": "model:\n  layers:\n",
    "@end\n": "    - Flatten\n    - Dense: {units: 10, activation: softmax}\n",
}


def cases() -> list[tuple[str, list[str]]]:
    cases = []
    for case in Path(__file__).with_name("mistakes.txt").read_text(encoding="utf-8").split("===\n")[1:]:
        text, _, lines = case.partition("-->\n")
        for short, full in SHORT.items():
            text = text.replace(short, full)
        lines = lines.replace("@every_layer", ", ".join(layers()))
        lines = lines.replace("@every_augmentation", ", ".join(sorted(AUGMENTATIONS.classes)))
        cases.append((text, lines.splitlines()))
    return cases


def problems_of(text: str) -> list[str]:
    """What parsing gives: each problem with its source line and caret."""
    with pytest.raises(SpecError) as caught:
        parse(text, "f.yaml")
    return caught.value.problems


@pytest.mark.parametrize(("text", "expected"), cases())
def test_a_mistake_gets_its_message_at_its_place(text: str, expected: list[str]) -> None:
    assert [problem.split("\n")[0] for problem in problems_of(text)] == [f"f.yaml:{line}" for line in expected]


def test_there_are_enough_cases() -> None:
    assert len(cases()) > 80


def test_a_good_spec_has_no_problem() -> None:
    layers = "model:\n  layers:\n    - Flatten\n    - Dense: {units: 10, activation: softmax}\n"
    assert [node.name for node in parse(HEAD + layers, "f.yaml").model.nodes] == ["flatten", "dense"]


def test_problems_come_all_at_once_sorted_by_place() -> None:
    text = f"""{HEAD}seed: -1
expect: {{test_accuracy: high}}
model:
  layers:
    - Conv2D: {{filtres: 32, kernel_size: 0}}
    - Flatten
    - Dense: {{units: 10, activation: softmx}}
fit:
  epochs: many
"""
    places = [problem.split(" ")[0] for problem in problems_of(text)]
    assert places == [f"f.yaml:{place}:" for place in ("3:7", "4:25", "7:7", "7:16", "7:42", "9:38", "11:11")]


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("fit: {epochs: x}", 15),
        ("fit: { 'epochs' : x}", 19),
        ("fit: {shuffle: true, epochs: x}", 30),
        ('"fit": {epochs: x}', 17),
        ("fit: {\"epochs\": 'é日本'}", 17),
        ("fit: {callbacks: [], batch_size: 1, epochs: &e x}", 45),
    ],
)
def test_the_caret_stands_under_the_value(line: str, column: int) -> None:
    model = "model: {layers: [Flatten, Dense: {units: 10}]}\n"
    first, source, caret = problems_of(f"{HEAD}{model}{line}\n")[0].split("\n")
    assert first.startswith(f"f.yaml:4:{column}: epochs must be an integer")
    assert source == f"  {line}"
    assert caret == " " * (column + 1) + "^"


def test_wide_characters_and_tabs_before_the_caret_keep_their_width() -> None:
    model = "model: {layers: [Flatten, Dense: {units: 10}]}\n"
    first, source, caret = problems_of(f'{HEAD}{model}name: "日本" x\n')[0].split("\n")
    assert (first[:12], source, caret) == ("f.yaml:4:12:", '  name: "日本" x', "  " + " " * 13 + "^")
    first, source, caret = problems_of(f'{HEAD}{model}name: "a\tb" x\n')[0].split("\n")
    assert (first[:12], source, caret) == ("f.yaml:4:13:", '  name: "a\tb" x', "  " + " " * 8 + "\t" + " " * 3 + "^")


def test_every_line_break_of_yaml_counts() -> None:
    text = "seed: -1\r\nepochs: 1\rtrain: 2\u2028network: 3\n"
    assert [problem.split(": ")[0] for problem in problems_of(text)][-4:] == [
        "f.yaml:1:7",
        "f.yaml:2:1",
        "f.yaml:3:1",
        "f.yaml:4:1",
    ]


def test_a_problem_in_an_alias_points_at_the_anchor_and_is_told_once() -> None:
    text = f"{HEAD}model:\n  layers:\n    - Dense: &d {{units: 10, actvation: relu}}\n    - Dense: *d\n    - Flatten\n"
    told = [problem.split("\n")[0] for problem in problems_of(text)]
    assert told == ["f.yaml:5:29: unknown key 'actvation' in Dense; did you mean 'activation'?"]


def test_a_long_line_is_shown_around_the_problem() -> None:
    text = f"{HEAD}model: {{layers: [Flatten, Dense: {{units: 10}}]}}\nfit: {{epochs: 1, {' ' * 500} batch_size: 0}}\n"
    _, source, caret = problems_of(text)[0].split("\n")
    assert len(source) < 130
    assert source[len(caret) - 1] == "0"
