"""What `expect:` says and when it holds."""

import math

import pytest

from cnncli.errors import DeclarationError
from cnncli.training.metrics.expectations import Expectation


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("test_accuracy >= 0.95", 0.95, True),
        ("test_accuracy>=0.95", 0.9499999, False),
        ("loss < 1e-3", 0.001, False),
        ("loss < 1e-3", 0.0009, True),
        ("loss > -.5", -0.5, False),
        ("val_loss <= 2", 2.0, True),
        ("val_loss == 2", 2.0, True),
        ("val_loss == 2", 2.0000001, False),
        ("val_loss <= 2", math.nan, False),
        ("val_loss >= 2", math.nan, False),
    ],
)
def test_a_condition_holds_or_not(text: str, value: float, holds: bool) -> None:
    assert Expectation.parse(text).holds(value) is holds


def test_the_text_of_an_expectation_reads_back() -> None:
    expectation = Expectation.parse(" test_loss<=+.30 ")
    assert str(expectation) == "test_loss <= 0.3"
    assert Expectation.parse(str(expectation)) == expectation


@pytest.mark.parametrize(
    "text", ["", "0.95", "accuracy", "accuracy => 0.9", "accuracy >= x", "a >= 1 <= 2", "a >= 1e999"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(DeclarationError, match="received"):
        Expectation.parse(text)
