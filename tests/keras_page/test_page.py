"""docs/keras.md is current, and accounts for every name of Keras."""

from functools import cache
from pathlib import Path

import pytest

from cnncli.errors import SpecError
from cnncli.spec.spec import parse
from cnncli.spec.validation.messages import REGISTRIES
from cnncli.spec.yaml.mistakes import REASONS, UNSUPPORTED
from tests.keras_page.page import KINDS, NAMES, here, page, why_not

COMMITTED = Path(__file__).parents[2] / "docs" / "keras.md"
EVERY = [(title, name) for title in KINDS for name in NAMES[title]]


def test_the_page_is_current():
    assert COMMITTED.read_text(encoding="utf-8") == page(), "run python -m tests.keras_page.page > docs/keras.md"


@pytest.mark.parametrize(("title", "name"), EVERY)
def test_every_name_of_keras_is_here_or_has_a_reason(title, name):
    said = row(title, name).split(" | ")[1]
    assert said.startswith("yes") if here(title, name) else said == f"no: {why_not(name)}"
    assert said not in ("", "no: ")


def spec_of(title, name):
    """A spec that has a name of Keras at the place of its kind."""
    layers, compiled = ["Flatten", "Dense: {units: 3}"], {"loss": "mse", "optimizer": "sgd", "metrics": "[]"}
    argument = {
        "activations": "activation",
        "initializers": "kernel_initializer",
        "regularizers": "kernel_regularizer",
        "constraints": "kernel_constraint",
    }.get(title)
    if title == "layers":
        layers.insert(0, name)
    elif argument:
        layers[1] = f"Dense: {{units: 3, {argument}: {name}}}"
    elif title == "schedules":
        compiled["optimizer"] = f"{{SGD: {{learning_rate: {name}}}}}"
    elif title != "callbacks":
        compiled |= {"losses": {"loss": name}, "optimizers": {"optimizer": name}}.get(title, {"metrics": f"[{name}]"})
    return (
        "data: {dataset: mnist}\nmodel:\n  input_shape: [28, 28, 1]\n  layers:\n"
        + "".join(f"  - {layer}\n" for layer in layers)
        + "compile:\n"
        + "".join(f"  {key}: {value}\n" for key, value in compiled.items())
        + f"fit: {{epochs: 1, callbacks: [{name if title == 'callbacks' else ''}]}}\n"
    )


def said(title, name):
    try:
        parse(spec_of(title, name), "spec.yaml")
    except SpecError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("title", KINDS)
def test_a_spec_with_a_name_of_keras_is_told_why_it_is_not_here(title):
    names = {name: [name, *entry["aliases"]] for name, entry in NAMES[title].items() if here(title, name) is None}
    names |= {name: [name] for name in NAMES["accepted"][title] if here(title, name) is None}
    answers = {spelling: said(title, spelling) for spellings in names.values() for spelling in spellings}
    for spelling, answer in answers.items():
        keras = next((name for name in NAMES[title] if bare(name) == bare(spelling)), spelling)
        assert why_not(keras) in answer, (spelling, answer)
        assert "unknown" not in answer, (spelling, answer)


@pytest.mark.parametrize("title", KINDS)
def test_a_spec_with_a_name_of_keras_that_is_here_knows_it(title):
    names = [name for name in NAMES[title] if here(title, name) is not None]
    names += [name for name in NAMES["accepted"][title] if here(title, name) is not None]
    answers = {name: said(title, name) for name in names}
    assert not {name: answer for name, answer in answers.items() if "unknown" in answer}


def test_what_is_here_has_no_reason_not_to_be():
    registered = {name for registry in REGISTRIES.values() for name in registry.spellings}
    assert not registered & REASONS.keys()
    for kind, names in UNSUPPORTED.items():
        assert not set(names.split()) & set(REGISTRIES[kind].spellings)


def bare(name):
    return name.lower().replace("_", "")


@cache
def shown():
    return page()


def row(title, name):
    chapter = shown().partition(f"## {title.capitalize()}\n")[2].partition("\n## ")[0]
    (found,) = [line for line in chapter.splitlines() if line.startswith(f"| `{name}`")]
    return found
