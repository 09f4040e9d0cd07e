"""Groups of images that stay in one split: a patient, a track, a recording. Needs no NumPy.

Each group goes to the split where it adds least to Σ (share of the class's images there − share of the split)² / share
of the split, summed over classes: of groups alike, this is Sainte-Laguë's method. Large groups come first, by powers of
two; among those of a size the seed decides. A split that then has no image of a class gets the smallest group that
another one can spare.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from math import fsum

from cnncli.datasets import name_pattern
from cnncli.datasets.layouts.split_names import split_of
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Listing, Sample
from cnncli.errors import DeclarationError

KEY = "group_by"
GROUP = "group"
NO_CLASS = -1
EXAMPLE = r"(.*)_\d+"
MOST_NAMED = 3


def grouped(found: Listing, data: DataSection) -> Listing:
    """The listing with the group of each image: from the table's column that `group_by` names, or else by its pattern,
    which boxes have by the names of their images.

    Raises DeclarationError for what is neither, and for what gives a training image no group.
    """
    if data.group_by is None:
        return found
    by_column = found.groups and not found.crops
    groups = found.groups if by_column else _by_pattern(found, data.group_by)
    train = [sample.file for sample in found.splits.get("train", ())]
    if missing := [file for file in train if file not in groups]:
        rule, lacks = "match the name of every training image", "does not match"
        if by_column:
            rule, lacks = "be a column of the training table, too", "has no group for"
        raise DeclarationError(
            f"{KEY} {data.group_by} must {rule}; it {lacks} {len(missing):,} of {len(train):,}, such as "
            f"{', '.join(missing[:MOST_NAMED])}",
            KEY,
        )
    notes = []
    if len(train) > 1 and len({groups[file] for file in train}) == len(train):
        notes = [f"{KEY} {data.group_by} makes each of the {len(train):,} training images a group of its own"]
    return replace(found, groups=groups, notes=[*found.notes, *notes])


def _by_pattern(found: Listing, pattern: str) -> dict[str, str]:
    """The groups of the images whose names a pattern matches."""
    if wrong := name_pattern.problem(pattern, GROUP):
        raise DeclarationError(
            f"{KEY} must be a column of the table, or a regular expression with one group in parentheses, such as "
            f"{EXAMPLE}; received {pattern}: it {wrong}",
            KEY,
        )
    compiled = re.compile(pattern)
    group = GROUP if GROUP in compiled.groupindex else 1
    several = len(found.splits) > 1
    groups = {}
    for split, part in found.splits.items():
        for file in (sample.file for sample in part):
            name = found.crops[file].file if found.crops else file
            match = compiled.search(_within(name, split) if several else name)
            if match and match[group] is not None:
                groups[file] = match[group]
    return groups


def _within(file: str, split: str) -> str:
    """A file's name without the folders of its split: a group has the same name in each."""
    folder, _, rest = file.partition("/")
    return _within(rest, split) if rest and split_of(folder) == split else file


def by_group(
    samples: Sequence[Sample], groups: Mapping[str, str], shares: Mapping[str, float], seed: int, classes: Sequence[str]
) -> dict[str, list[Sample]]:
    """ "train" and the splits that `shares` gives a part, with all images of a group in one of them.

    Raises DeclarationError where there are fewer groups than splits, or all images of a class are in one group.
    """
    parts = {**shares, "train": 1 - sum(shares.values())}
    held = _classes_of(samples, groups)
    if len(held) < len(parts):
        raise DeclarationError(
            f"{KEY} must give at least one group for each of {' and '.join(['train', *shares])}; it gives {len(held)}",
            KEY,
        )
    _refuse_lone_class(held, classes)
    chosen = _completed(held, assigned(held, parts, seed), parts)
    divided: dict[str, list[Sample]] = {name: [] for name in ("train", *shares)}
    for sample in samples:
        divided[chosen[groups[sample.file]]].append(sample)
    return divided


def folds_of(
    samples: Sequence[Sample], groups: Mapping[str, str], folds: int, seed: int, classes: Sequence[str]
) -> dict[str, int]:
    """The fold of each group, from 1.

    Raises DeclarationError where there are fewer groups than folds, or all images of a class are in one group.
    """
    held = _classes_of(samples, groups)
    if len(held) < folds:
        raise DeclarationError(f"folds must be at most the number of groups, {len(held):,}", "folds")
    _refuse_lone_class(held, classes)
    shares = {str(fold): 1 / folds for fold in range(1, folds + 1)}
    return {group: int(fold) for group, fold in assigned(held, shares, seed).items()}


def _refuse_lone_class(held: Mapping[str, Mapping[int, int]], classes: Sequence[str]) -> None:
    """Raise DeclarationError for a class that only one group shows: it would be missing from all splits but one."""
    shown = _shown(held)
    alone = [label for label, names in shown.items() if len(names) == 1 and label != NO_CLASS]
    if alone:
        named = [
            f"{(classes[label] if label < len(classes) else str(label))!r} ({shown[label][0]})"
            for label in sorted(alone)[:MOST_NAMED]
        ]
        more = f" and {len(alone) - MOST_NAMED:,} more" if len(alone) > MOST_NAMED else ""
        raise DeclarationError(
            f"{KEY} must give every class at least two groups; one group has all images of {', '.join(named)}{more}",
            KEY,
        )


def assigned(held: Mapping[str, Mapping[int, int]], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """The split of each group. `held`: its images by class; `shares` add up to 1, ties go to the first."""
    totals = Counter[int]()
    for labels in held.values():
        totals.update(labels)
    filled = {name: Counter[int]() for name in shares}
    chosen = {}
    for group in sorted(held, key=lambda group: (-sum(held[group].values()).bit_length(), _rank(seed, group), group)):
        labels = held[group]
        costs = {
            name: fsum(
                count * (2 * filled[name][label] + count) / totals[label] ** 2 for label, count in labels.items()
            )
            / share
            for name, share in shares.items()
        }
        chosen[group] = min(costs, key=costs.__getitem__)
        filled[chosen[group]].update(labels)
    return chosen


def _completed(
    held: Mapping[str, Mapping[int, int]], chosen: Mapping[str, str], names: Sequence[str] | Mapping[str, float]
) -> dict[str, str]:
    """The splits of the groups, with a group of each class in each, as far as other splits keep one."""
    made, shown = dict(chosen), _shown(held)
    counts = {name: Counter[int]() for name in names}
    for group, name in made.items():
        counts[name].update(held[group].keys())
    for label in sorted(shown):
        for name in reversed(list(names)):
            if counts[name][label]:
                continue
            spare = [group for group in shown[label] if all(counts[made[group]][other] > 1 for other in held[group])]
            if spare:
                group = min(spare, key=lambda group: (sum(held[group].values()), group))
                counts[made[group]].subtract(held[group].keys())
                counts[name].update(held[group].keys())
                made[group] = name
    return made


def _shown(held: Mapping[str, Mapping[int, int]]) -> dict[int, list[str]]:
    """The groups that have images of each class."""
    shown: defaultdict[int, list[str]] = defaultdict(list)
    for group, labels in held.items():
        for label in labels:
            shown[label].append(group)
    return shown


def _classes_of(samples: Sequence[Sample], groups: Mapping[str, str]) -> dict[str, Counter[int]]:
    """The images of each class in each group; those of no class are of one."""
    held: dict[str, Counter[int]] = defaultdict(Counter)
    for sample in samples:
        held[groups[sample.file]].update(sample.labels or (NO_CLASS,))
    return dict(sorted(held.items()))


def _rank(seed: int, group: str) -> bytes:
    return sha256(f"{seed}/{group}".encode()).digest()
