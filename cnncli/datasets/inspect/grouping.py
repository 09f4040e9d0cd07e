"""Finds in the names of files what keeps images that resemble each other in one split: a pattern for `group_by`."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cnncli.datasets.sources.found import Sample

PATTERNS = (
    r"(.*)_\d+",
    r"(.*)-\d+",
    r"(.*)\.\d+\.",
    r"(.*) \(?\d+\)?\.",
    r"(.*)/",
    r"(.*?)\d+\.[^.]*$",
    r"(.*?)_[^/]*$",
    r"(.*?)-[^/]*$",
    r"([^/]*?)_[^/]*$",
    r"([^/]*?)-[^/]*$",
)
"""What names of series look like: a track and a frame, a folder for each recording, a patient and more."""


class Grouping(NamedTuple):
    """A pattern for `group_by`, and the number of groups that it makes."""

    pattern: str
    groups: int


def proposed(samples: Sequence[Sample], alike: Iterable[Sequence[str]]) -> Grouping | None:
    """The pattern that makes the most groups of all that keep images that resemble each other together; None if none
    does, or only with a class in one group. `alike`: groups of files, others than those of `samples` among them.
    """
    known = {sample.file for sample in samples}
    together = [kept for group in alike if len(kept := [file for file in group if file in known]) > 1]
    if not together:
        return None
    found = [made for pattern in PATTERNS if (made := _made(pattern, samples, together))]
    return max(found, key=lambda made: made.groups, default=None)


def _made(pattern: str, samples: Sequence[Sample], together: Sequence[Sequence[str]]) -> Grouping | None:
    compiled = re.compile(pattern)
    groups = {sample.file: match[1] for sample in samples if (match := compiled.search(sample.file))}
    if len(groups) < len(samples) or any(len({groups[file] for file in kept}) > 1 for kept in together):
        return None
    classes: defaultdict[int, set[str]] = defaultdict(set)
    for sample in samples:
        for label in sample.labels or (-1,):
            classes[label].add(groups[sample.file])
    return Grouping(pattern, len(set(groups.values()))) if min(map(len, classes.values())) > 1 else None
