"""Splits images by class, with the seed."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from math import floor

from cnncli.datasets.sources.found import Sample, absent, numbers_hint
from cnncli.datasets.splits.groups import by_group
from cnncli.errors import DeclarationError


def divide(
    samples: Sequence[Sample],
    shares: Mapping[str, float],
    seed: int,
    classes: Sequence[str],
    groups: Mapping[str, str] | None = None,
) -> dict[str, list[Sample]]:
    """ "train" and the splits that `shares` gives a part of each class, n − ⌊n · (1 − share)⌋ of n images (as Keras).

    Of a class with too few images for all splits at least one is trained on. An image of several classes counts for its
    rarest. With `groups`, by the file, all images of a group stay together.

    Raises DeclarationError for a class of which no image would be trained on; for one of which no image is in another
    split only where classes look like numbers to be predicted.
    """
    images = Counter(label for sample in samples for label in sample.labels)
    divided = by_group(samples, groups, shares, seed, classes) if groups else _by_class(samples, shares, seed, images)
    _check(divided, shares, classes, images)
    return {name: sorted(part) for name, part in divided.items()}


def _by_class(
    samples: Sequence[Sample], shares: Mapping[str, float], seed: int, images: Mapping[int, int]
) -> dict[str, list[Sample]]:
    strata: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        strata[min(sample.labels, key=lambda label: (images[label], label), default=-1)].append(sample)
    divided: dict[str, list[Sample]] = {name: [] for name in ("train", *shares)}
    for label, stratum in strata.items():
        # By a digest of its name a file's rank depends on no other file, and needs neither NumPy nor an order.
        left = sorted(stratum, key=lambda sample: (sha256(f"{seed}/{sample.file}".encode()).digest(), sample.file))
        for name, share in shares.items():
            count = len(stratum) - floor(len(stratum) * (1 - share))
            if label in images and images[label] <= len(shares):
                count = min(count, len(left) - 1)
            divided[name] += left[:count]
            left = left[count:]
        divided["train"] += left
    return divided


def _check(
    divided: Mapping[str, Sequence[Sample]],
    shares: Mapping[str, float],
    classes: Sequence[str],
    images: Mapping[int, int],
) -> None:
    hint = "".join(f" ({hint})" for hint in numbers_hint(classes))
    for split, part in divided.items():
        key = f"{split if split in shares else next(iter(shares))}_split"
        missing = absent(part, classes) if split == "train" or hint else []
        if missing:
            of = ", ".join(f"{name!r} ({images[classes.index(name)]} in total)" for name in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            rule = f"{'every split' if hint else 'training images'} must show every class"
            raise DeclarationError(f"{rule}; {split} has none of {of}{more}{hint}", key)
        if not part:
            raise DeclarationError(f"{key} must leave at least one image in every split; {split} has none", key)
