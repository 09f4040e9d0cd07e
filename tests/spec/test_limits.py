"""A spec can't take forever or all memory: what a few lines would grow to is bounded, and so is what is said of it.

Without the bounds most of these tests do not end.
"""

import pytest

from tests.spec.test_mistakes import HEAD, problems_of
from tests.spec.test_spec import MNIST, first_lines

MODEL = f"{HEAD}model:\n  blocks:\n"
TOO_MANY = "a model must not have more than 10,000 layers"
TOO_MUCH = "a model must not have more than 300,000 values after expanding blocks"


def chain(first: str, entry: str, depth: int = 25) -> str:
    """Blocks b0 … whose layers are `entry`, each with the block before it in the place of BELOW."""
    blocks = [f"    b0: {first}\n"]
    blocks += [f"    b{i}: {entry.replace('BELOW', f'b{i - 1}')}\n" for i in range(1, depth)]
    return f"{MODEL}{''.join(blocks)}"


def told(text: str) -> str:
    """The first lines of all problems."""
    return "\n".join(problem.split("\n")[0] for problem in problems_of(text))


@pytest.mark.parametrize("leaf", ["nope", "{Dense: {inputs: nothing}}", "{b0: {}}", "{Flatten: {name: 3}}", "Flatten"])
def test_blocks_in_blocks_multiply_up_to_a_limit(leaf: str) -> None:
    """Also where nothing of them is a layer in the end, because there is a mistake in each."""
    entry = f"{{layers: [{', '.join(['{BELOW: {inputs: input}}'] * 20)}]}}"
    assert TOO_MANY in told(chain(f"{{layers: [{leaf}]}}", entry) + "  layers: [b24]\n")


def test_parameters_multiply_up_to_a_limit() -> None:
    entry = "{parameters: [x], layers: [BELOW: {x: [$x, $x]}]}"
    blocks = chain("{parameters: [x], layers: [Dense: {units: $x}]}", entry)
    assert TOO_MUCH in told(blocks + "  layers: [b24: {x: 1}]\n")


@pytest.mark.parametrize(
    "block",
    [
        f"{{layers: [Dense: {{units: [{'1, ' * 5000}]}}]}}",
        f"{{parameters: [x: [{'1, ' * 5000}]], layers: [Dense: {{units: $x}}]}}",
    ],
)
def test_what_a_block_holds_counts_in_each_use(block: str) -> None:
    assert TOO_MUCH in told(f"{MODEL}    b: {block}\n  layers: [b: {{repeat: 100}}]\n")


def test_names_are_not_made_for_more_layers_than_there_may_be() -> None:
    layers = ", ".join(f"Flatten: {{name: x{i}, repeat: 1000}}" for i in range(9_000))
    assert TOO_MANY in told(f"{HEAD}model: {{layers: [{layers}]}}\n")


@pytest.mark.parametrize(
    "layer",
    [
        "Dense: {units: '" + "1" * 300_000 + "x'}",
        "Dense: {units: 1, '" + "u" * 900 + "': 1}",
        "Conv2D: '" + "1," * 150_000 + "'",
        "'Conv2D(" + "1," * 150_000 + "'",
        "'" + "Du" * 150_000 + "'",
        "Dense: {units: 1, activation: '" + "relu" * 70_000 + "'}",
    ],
)
def test_a_long_text_is_refused_at_once_in_a_message_of_bearable_length(layer: str) -> None:
    """Patterns of likely mistakes took the square of its length: minutes for these."""
    for problem in problems_of(f"{HEAD}model: {{layers: [Flatten, {layer}]}}\n"):
        assert len(problem.split("\n")[0]) < 2_100


def test_a_line_that_can_not_be_parsed_may_be_long() -> None:
    assert told(f"{HEAD}name: ['{'- A {}}' * 100_000}\n") == "f.yaml:3:8: a quote is never closed"


def test_a_wrong_name_is_compared_with_those_just_above_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of thousands, for each of thousands, took minutes."""
    compared = []
    monkeypatch.setattr("cnncli.spec.blocks.entries.suggestion", lambda name, known: compared.append(known) or "")
    layers = ", ".join(f"Flatten: {{name: flat_{i}, inputs: flay_{i}}}" for i in range(200))
    assert len(problems_of(f"{HEAD}model: {{layers: [{layers}]}}\n")) == 200
    assert max(map(len, compared)) == 50
    assert compared[-1][-2:] == ["flat_198", "previous"]


def test_the_override_that_a_problem_comes_from_is_shortened() -> None:
    (line,) = first_lines(MNIST, f"seed={'x' * 100_000}")
    assert line.startswith("--set seed=xxx")
    assert len(line) < 500
    assert "…: seed must be an integer" in line
