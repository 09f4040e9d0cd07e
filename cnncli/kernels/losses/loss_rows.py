"""A row of predictions and targets, as used by the formulas of a loss: each call emits the code of one pass."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cnncli.kernels.vector.emit import Code, Variable
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.sweeps import add_up, find_largest, write

Formula = Callable[..., Any]
"""(prediction, target, numbers …) → results of the pass, all vectors."""


class Survey(NamedTuple):
    """Sums over a row, at most 3. `terms`: (prediction, target) → what is added up, `number` float64 vectors."""

    number: int
    terms: Formula


class Row:
    """A row, for emitting code that processes it.

    `scalars`: arguments of the rule, float64; `numbers`: the same in every lane. `surveyed`: the sums of its survey,
    float64 in every lane, if it has one; they are those of the batch where `told` is not 0. A pass's formula takes the
    prediction, the target and the numbers given in the call, broadcast to vectors. A pass reads each vector before
    writing it, so `out` may be the prediction.
    """

    def __init__(
        self,
        code: Code,
        places: Sequence[Vector],
        length: Vector,
        given: Sequence[Vector],
        surveyed: Sequence[Vector] = (),
        told: Vector | None = None,
    ) -> None:
        self.code, self.length = code, length
        self.prediction, self.target, self.out = places
        self.scalars = given[2:]
        self.keep, self.share, *self.numbers = (code.full(number) for number in given)
        self.told, self.sums_told = told, surveyed
        self.surveyed = [code.full(number) for number in surveyed]

    def wanted(self, target: Vector) -> Vector:
        """The smoothed target, t · keep + share, in the precision of `target`."""
        return target * self.keep.rounded(target.item) + self.share.rounded(target.item)

    def largest(self, formula: Formula = lambda prediction, target: prediction) -> Vector:
        """The maximum of the formula's result, in its own precision; unspecified if one is NaN."""
        return find_largest(self.code, (self.prediction, self.target), self.length, formula)

    def sums(self, count: int, formula: Formula, *numbers: Vector) -> list[Vector]:
        """Sum the formula's result, a tuple of `number` float64 vectors."""
        return self._add_up(count, lambda *given: ((), formula(*given)), (), numbers)

    def known(self, survey: Survey) -> list[Vector]:
        """The sums of a survey, float64 scalars: those of the batch where they are told, else those of this row."""
        assert self.told is not None  # a rule with a survey
        found = [Variable(number) for number in self.sums_told]
        with self.code.builder.if_then(self.told.same(0).value):
            for place, total in zip(found, self.sums(*survey), strict=True):
                place.set(total)
        return [place.get() for place in found]

    def fill(self, count: int, formula: Formula, *numbers: Vector) -> list[Vector]:
        """Like `sums`, for a formula that returns (vector to store in `out`, the tuple)."""

        def both(*given: Vector) -> Any:
            filled, terms = formula(*given)
            return (filled,), terms

        return self._add_up(count, both, (self.out,), numbers)

    def divide(self, divisor: Vector) -> None:
        """Divide the contents of `out`, in its own precision."""
        self._write(lambda filled, number: filled / number.rounded(filled.item), (self.out,), (divisor,))

    def slope(self, scale: Vector, formula: Formula, *numbers: Vector) -> None:
        """Fill `out` with the formula's result, in either precision, times `scale`, a float64 scalar."""

        def scaled(prediction: Vector, target: Vector, scale: Vector, *rest: Vector) -> Vector:
            slope: Vector = formula(prediction, target, *rest)
            return (slope * scale.rounded(slope.item)).rounded(prediction.item)

        self._write(scaled, (self.prediction, self.target), (scale, *numbers))

    def _write(self, formula: Formula, sources: Sequence[Vector], numbers: Sequence[Vector]) -> None:
        write(self.code, formula, sources, (self.out,), self.code.word(0), self.length, numbers)

    def _add_up(
        self, count: int, formula: Formula, targets: Sequence[Vector], numbers: Sequence[Vector]
    ) -> list[Vector]:
        places = self.prediction, self.target
        return add_up(self.code, count, formula, places, targets, self.code.word(0), self.length, numbers)
