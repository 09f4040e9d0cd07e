"""docs/keras.md is current, and accounts for every name of Keras."""

from functools import cache
from pathlib import Path

import pytest

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


@cache
def shown():
    return page()


def row(title, name):
    chapter = shown().partition(f"## {title.capitalize()}\n")[2].partition("\n## ")[0]
    (found,) = [line for line in chapter.splitlines() if line.startswith(f"| `{name}`")]
    return found
