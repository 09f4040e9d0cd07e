"""Axes: round ticks, bounds that cover the data, places."""

from math import inf, nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cnncli.report.pictures.axes import Axis, bounds, log_ticks, round_step, tick_texts


def test_ticks_are_round_and_within_the_bounds() -> None:
    assert Axis(0, 1, 0, 100).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert Axis(1, 15, 0, 100).ticks(8) == [2, 4, 6, 8, 10, 12, 14]
    assert Axis(-0.3, 0.32, 0, 1).ticks() == pytest.approx([-0.2, 0, 0.2])
    assert round_step(0.13) == pytest.approx(0.2)
    assert round_step(1.0) == 1


def test_logarithmic_ticks() -> None:
    assert log_ticks(0.001, 1) == pytest.approx([0.001, 0.01, 0.1, 1])
    assert log_ticks(1, 10) == pytest.approx([1, 2, 5, 10])
    assert log_ticks(3, 4) == [3, 4]


@pytest.mark.parametrize(
    ("values", "log", "covered"),
    [
        ([0.12, 0.98], False, (0.0, 1.0)),
        ([nan, inf, 0.4, 0.6], False, (0.4, 0.6)),
        ([3.0, 3.0], False, (2.4, 3.6)),
        ([nan], False, (0.0, 1.0)),
        ([], True, (0.1, 1.0)),
        ([-1.0, 0.0, 2.0, 8.0], True, (2.0, 10.0)),
        ([0.03, 0.4], True, (0.02, 0.5)),
    ],
)
def test_bounds_cover_what_is_finite(values: list[float], log: bool, covered: tuple[float, float]) -> None:
    assert bounds(values, log=log, rounded=True) == pytest.approx(covered)


@given(st.lists(st.floats(), max_size=5), st.booleans(), st.booleans())
@example([1e308, -1e308], False, True)
@example([1e20, 1e20], False, True)
@example([5e-324, 1e308], True, True)
def test_any_numbers_have_an_axis_with_ticks(values: list[float], log: bool, rounded: bool) -> None:
    low, high = bounds(values, log=log, rounded=rounded)
    assert low < high
    axis = Axis(low, high, 0, 100, log)
    ticks = axis.ticks()
    assert len(tick_texts(ticks)) == len(ticks) < 20
    assert all(-1 < axis.at(tick) < 101 for tick in ticks)


def test_numbers_have_places() -> None:
    assert Axis(0, 10, 300, 100).at(2.5) == 250
    assert Axis(1, 100, 0, 200, log=True).at(10) == pytest.approx(100)


def test_texts_of_ticks_tell_them_apart() -> None:
    assert tick_texts([0.0, 0.5, 1.0]) == ["0.0", "0.5", "1.0"]
    assert tick_texts([2.0, 4.0]) == ["2", "4"]
    assert tick_texts([0.0, 20000.0]) == ["0", "20,000"]
    assert tick_texts([1e-5, 1e-4]) == ["1e-05", "0.0001"]
    assert tick_texts([]) == []
