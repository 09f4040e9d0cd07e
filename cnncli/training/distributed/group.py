"""A group of processes that train together, and the group of one."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from cnncli.errors import CnncliError

Array = np.ndarray[Any, Any]
Float64 = np.ndarray[Any, np.dtype[np.float64]]


class OfFirst(CnncliError):
    """An error of the first process, which prints it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


SUMS = 5
"""The number of sums that may be under way together."""


class TreeSum:
    """A sum over processes that is under way; here over a single one."""

    def __init__(self, data: Array) -> None:
        self.data = data

    def advance(self) -> bool:
        """Go on without waiting; whether it is done."""
        return True

    def finish(self) -> Array:
        """Wait for the sum."""
        return self.data


class Group:
    """Processes with numbers 0 … size − 1, of which this one is `rank`; here a single one.

    Every process must call the same methods in the same order; results are the same bits in each. They raise
    CnncliError if a process is gone.
    """

    rank = 0
    size = 1
    on_saved: Callable[[str], None] | None = None
    """Called with the command that resumes the training, once something is saved."""

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    def gather(self, thing: Any) -> list[Any]:
        """What each process gives, by rank. `thing`: any object that can be pickled."""
        return [thing]

    def from_first(self, thing: Any) -> Any:
        """What the first process gives; that of others is ignored."""
        return self.gather(thing)[0]

    def first_does(self, work: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        """The result of `work` in the first process, and of `otherwise` in the others, once it is done.

        An error of the first process is raised in all.
        """
        result, error = None, None
        if self.first:
            try:
                result = work()
            except CnncliError as found:
                error = found
        told = self.from_first(None if error is None else (str(error), error.exit_code))
        if error is not None:
            raise error
        if told is not None:
            raise OfFirst(*told)
        return result if self.first else otherwise()

    def same(self, things: Mapping[str, Any]) -> None:
        """Raise CnncliError, in all processes, if one of the named things is not the same in each."""
        everyone = self.gather(things)
        for name, of_first in everyone[0].items():
            other = next((rank for rank, own in enumerate(everyone) if own[name] != of_first), 0)
            if other:
                raise CnncliError(
                    f"all processes must have the same {name}: process 0 has {of_first}, process {other} "
                    f"{everyone[other][name]}"
                )

    def neighbours(self, cpus: frozenset[int]) -> int:
        """The number of processes, with this one, on this machine that may run on one of these CPUs."""
        return 1

    def all_end(self, seconds: float | None) -> bool:
        """Whether all processes arrive here within so many seconds, or at all with None."""
        return True

    def abort(self, code: int) -> None:
        """End all processes with this exit code."""

    def gather_numbers(self, numbers: Float64) -> Float64:
        """The numbers of each process, float64 (k,), as rows by rank: (size, k)."""
        return numbers[None]

    def total(self, numbers: Float64) -> Float64:
        """The sum over all processes, in the order of their ranks. numbers: float64 (k,)."""
        return add_in_order(self.gather_numbers(numbers))

    def begin_tree(self, data: Array, number: int) -> "TreeSum":
        """Begin to replace data, float32 or float64 (k,), by the sum over all processes, added as `add_pairs` does.

        `number`: of one of SUMS sums, which may be under way together.
        """
        return TreeSum(data)


ALONE = Group()


def add_in_order(rows: Array) -> Array:
    """((r0 + r1) + r2) + …: the sum of rows, real (n, k)."""
    total: Array = rows[0].copy()
    for row in rows[1:]:
        total += row
    return total


def add_pairs(rows: list[Array]) -> Array:
    """The sum of arrays of one shape in a binary tree: neighbours first, then their sums. Overwrites the arrays.

    Whole subtrees of a power of two of rows may be added in one place and joined in another, without other bits.
    """
    while len(rows) > 1:
        for left, right in zip(rows[::2], rows[1::2], strict=False):
            np.add(left, right, out=left)
        rows = rows[::2]
    return rows[0]


def shares(count: int, parts: int) -> list[slice]:
    """Divide rows 0 … count − 1 into `parts` consecutive parts, some of which may be empty.

    Each begins at a multiple of 4, so that random numbers, which come in fours, are those of the undivided rows.
    """
    fours = -(-count // 4)
    bounds = [min(count, 4 * -(-fours * number // parts)) for number in range(parts + 1)]
    return [slice(*pair) for pair in pairwise(bounds)]
