"""What `expect:` says and when it holds."""

import math

import pytest

from cnncli.errors import DeclarationError
from cnncli.training.metrics.expectations import Expectation, more_figures


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


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        ("decreasing", -0.1, True),
        ("decreasing", 0.0, False),
        ("increasing", 0.1, True),
        ("increasing", math.nan, False),
    ],
)
def test_a_trend_is_the_sign_of_a_change(condition: str, value: float, holds: bool) -> None:
    expectation = Expectation.of("val_loss", f" {condition} ")
    assert (expectation.reads, expectation.condition) == ("val_loss_change", condition)
    assert expectation.holds(value) is holds


@pytest.mark.parametrize(("text", "size"), [("500 MB", 5e8), ("0.5GB", 5e8), ("1e3 kB", 1e6), ("12345", 12345.0)])
def test_memory_has_units_and_reads_back(text: str, size: float) -> None:
    expectation = Expectation.of("peak_memory", f"< {text}")
    assert expectation.bound == size
    assert Expectation.of("peak_memory", expectation.condition) == expectation


HISTORY = [
    {"epoch": 1, "loss": 0.5, "val_loss": 0.4, "seconds": 2.0},
    {"epoch": 2, "loss": 0.25, "seconds": 1.0},
    {"epoch": 3, "loss": 0.375, "seconds": 8.0},
]


def test_figures_besides_metrics_are_those_that_are_named_and_known() -> None:
    named = {
        "loss": "decreasing",
        "val_loss": "increasing",
        "epoch_seconds": "< 1",
        "images_per_second": "> 1",
        "parameters": "> 1",
        "peak_memory": "> 1",
        "accuracy": "> 1",
    }
    expectations = [Expectation.of(*item) for item in named.items()]
    found = more_figures(expectations, HISTORY, images=100, parameters=7, memory=1000)
    resources = {"epoch_seconds": 2.0, "images_per_second": 50.0, "parameters": 7, "peak_memory": 1000}
    assert found == {"loss_change": -0.125, **resources}  # val_loss has one value
    assert more_figures(expectations, [], images=None, parameters=None) == {}
    assert more_figures([], HISTORY, images=100, parameters=7) == {}
