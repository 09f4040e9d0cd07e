"""Parallel coordinates of trials: heights on their scales, and what stands out."""

import pytest

from cnncli.report.pictures.draw import draw
from cnncli.report.plots.trials import NONE, parallel_coordinates
from cnncli.training.search.section import Objective, Search, TuneSection
from cnncli.training.search.space import Choice, Numbers, Option
from cnncli.training.search.trials import Found, TrialFacts

RATE = Numbers("compile.rate", "compile.rate", "log_uniform", 0.001, 0.1)
CHOICE = Choice("fit.kind", "fit.kind", (Option("a", "a"), Option("b", "b", (RATE,))))
UNITS = Numbers("model.units", "model.units", "int", 10, 20)


def found(metrics, best, trials):
    settings = TuneSection(objectives=tuple(Objective(metric=metric) for metric in metrics))
    search = Search(settings, (CHOICE, UNITS), ("minimize",) * len(metrics))
    facts = [TrialFacts(number, "complete", values, params) for number, (values, params) in enumerate(trials)]
    return Found("x", search, [*facts, TrialFacts(9, "pruned", (), {"fit.kind": "a"})], best, {})


def test_values_have_heights_on_their_scales_and_the_best_is_the_last_line():
    a = {"fit.kind": "a", "model.units": 20}
    b = {"fit.kind": "b", "compile.rate": 0.01, "model.units": 15}
    chart = parallel_coordinates(found(["val_loss"], [1], [((3.0,), a), ((1.0,), b), ((2.0,), a)]))
    assert [scale.name for scale in chart.scales] == ["kind", "rate", "units", "val_loss"]
    assert [strand.heights for strand in chart.strands] == [
        [0.25, NONE, 1, 1], [0.25, NONE, 1, 0.5], [0.75, pytest.approx(0.5), 0.5, 0],
    ]  # fmt: skip
    assert [strand.strong for strand in chart.strands] == [False, False, True]
    assert (NONE, "none") in chart.scales[1].ticks
    assert chart.strands[-1].tip == "trial 1: kind b, rate 0.01, units 15, val_loss 1.0000"
    assert chart.note == "3 complete trials; wide: the best by val_loss"
    assert "Trials of x" in {getattr(item, "text", "") for item in draw(chart).items}


def test_of_several_objectives_the_front_stands_out():
    a = {"fit.kind": "a", "model.units": 10}
    chart = parallel_coordinates(
        found(["val_loss", "parameters"], [0, 1], [((3.0, 1.0), a), ((1.0, 2.0), a), ((3.0, 3.0), a)])
    )
    assert [strand.strong for strand in chart.strands] == [False, True, True]
    assert chart.note == "3 complete trials; wide: the Pareto front"
