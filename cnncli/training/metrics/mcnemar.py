"""McNemar's test: whether two classifiers, on the same samples, are right equally often.

Only the samples matter that exactly one of them gets right: `first` of them the first, `second` the other. If both are
equally good, each of these n samples falls to either with probability 1/2. With m the smaller of the two numbers and X
binomial (n, 1/2), the exact two-sided p-value is 2·P(X ≤ m), at most 1. It is conservative; the mid-p-value,
2·P(X < m) + P(X = m), is nearly never too small and finds more. Source: M. W. Fagerland, S. Lydersen, P. Laake, "The
McNemar test for binary matched-pairs data: mid-p and asymptotic are better than exact conditional", BMC Medical
Research Methodology 13:91 (2013).
"""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class McNemar:
    """Samples that both classifiers get right, only the first, only the second, and neither."""

    both: int
    first: int
    second: int
    neither: int

    @property
    def samples(self) -> int:
        """The number of samples."""
        return self.both + self.first + self.second + self.neither

    @property
    def shares(self) -> tuple[float, float]:
        """The share of right answers of each."""
        return (self.both + self.first) / self.samples, (self.both + self.second) / self.samples

    @property
    def exact_p(self) -> float:
        """The exact two-sided p-value."""
        below, at = self._ways
        return min(1.0, 2 * (below + at) / (1 << self.first + self.second))

    @property
    def mid_p(self) -> float:
        """The mid-p-value."""
        below, at = self._ways
        return (2 * below + at) / (1 << self.first + self.second)

    @cached_property
    def _ways(self) -> tuple[int, int]:
        """Of the 2ⁿ ways in which the samples may fall, those with X < m and with X = m: exact integers."""
        n, below, at = self.first + self.second, 0, 1
        for number in range(min(self.first, self.second)):
            below += at
            at = at * (n - number) // (number + 1)
        return below, at
