"""Pairwise combinations: every pair of values of any two options appears in some case."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any


def pairwise(options: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Few dictionaries that together hold every pair of values of any two `options` (greedy, deterministic)."""
    names = list(options)
    open_pairs = {
        ((a, i), (b, j))
        for a, b in combinations(names, 2)
        for i in range(len(options[a]))
        for j in range(len(options[b]))
    }
    cases = []
    while open_pairs:
        (a, i), (b, j) = min(open_pairs)
        case = {a: i, b: j}
        for name in names:
            if name not in case:
                case[name] = max(
                    range(len(options[name])), key=lambda k, name=name: (_gain(case, name, k, open_pairs), -k)
                )
        open_pairs -= {pair for pair in open_pairs if all(case[name] == k for name, k in pair)}
        cases.append({name: options[name][k] for name, k in case.items()})
    return cases


def _gain(case: Mapping[str, int], name: str, k: int, open_pairs: set[Any]) -> int:
    new = [((other, i), (name, k)) for other, i in case.items()]
    return sum(pair in open_pairs or pair[::-1] in open_pairs for pair in new)
