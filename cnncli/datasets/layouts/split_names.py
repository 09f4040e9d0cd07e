"""Which folders are splits, by their names: train, Testing, training_set, seg_train beside seg_test."""

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

ALWAYS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
"""Names that are splits even beside other folders, which is an error then."""
WORDS = {**ALWAYS, "training": "train", "dev": "validation", "testing": "test", "eval": "test"}
FILLERS = ("set", "data", "dataset", "images", "image", "imgs", "img", "pictures", "photos", "folder", "split")
"""Words beside a split's that add nothing: test_set, training_images."""
UNLABELLED = ("pred", "predict", "prediction", "unlabeled", "unlabelled")
"""Words in place of a split's, for images without labels."""


class Names(NamedTuple):
    """`splits`: the folder of each. `twice`: two of the same split. `others`: the folders that are no splits.

    `unlabelled`: those of `others` that are named like the splits, but for images to predict. `sure`: the folders can't
    be classes, whatever lies beside them.
    """

    splits: Mapping[str, str]
    others: Sequence[str] = ()
    twice: Sequence[str] = ()
    unlabelled: Sequence[str] = ()
    sure: bool = False


def split_names(folders: Sequence[str]) -> Names:
    """Which of the folders that lie together are splits."""
    by_rest: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in folders:
        if split_of(name):
            by_rest[_rest(name)].append(name)
    # What is called so beside a split's word must be the same for several: crash_test beside test_tube are no splits.
    chosen = [
        name for rest, names in by_rest.items() for name in names if not rest or len({split_of(n) for n in names}) > 1
    ]
    splits: dict[str, str] = {}
    for name in chosen:
        if splits.setdefault(split_of(name), name) != name:
            return Names(splits, twice=(splits[split_of(name)], name), sure=True)
    rests = {_rest(name) for name in chosen}
    others = [name for name in folders if name not in chosen]
    unlabelled = [
        name
        for name in others
        if (_rest(name, UNLABELLED) in rests and _rest(name, UNLABELLED) != words(name))
        or _is_numbered_test(name, rests)
    ]
    plural = len(splits) > 1 and () in rests
    sure = plural or any(name.lower() in ALWAYS or len(words(name)) > 1 for name in chosen if not _rest(name))
    return Names(splits, others, unlabelled=unlabelled, sure=sure)


def split_of(name: str) -> str:
    """The split that a folder's name may say; "" for none, or several."""
    found = {WORDS[word] for word in words(name) if word in WORDS}
    return found.pop() if len(found) == 1 else ""


def are_numbered(names: Sequence[str]) -> bool:
    """Whether names differ by their numbers only, and say that they are parts: images_001, images_002."""
    rests = {tuple(word for word in words(name) if not word.isdecimal()) for name in names}
    return len(rests) == 1 and any(word in (*FILLERS, "part", "batch") for word in rests.pop())


def _is_numbered_test(name: str, rests: Container[tuple[str, ...]]) -> bool:
    """Whether a name is that of a test split but for a number: test1 beside train."""
    rest = _rest(name)
    plain = tuple(word for word in rest if not word.isdecimal())
    return split_of(name) == "test" and plain != rest and plain in rests


def is_filler(name: str) -> bool:
    """Whether a name says nothing about what is in a folder of images."""
    return all(word in FILLERS for word in words(name))


def words(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case: "seg_trainSet" has three, "trainset" two."""
    parts = re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|\d+", name)
    return tuple(word for part in parts for word in _parts(part.lower()))


def _parts(word: str) -> Iterable[str]:
    for filler in FILLERS:
        if word.removesuffix(filler) in WORDS and word not in WORDS:
            return (word.removesuffix(filler), filler) if word.endswith(filler) else (word,)
    return (word,)


def _rest(name: str, known: Iterable[str] = WORDS) -> tuple[str, ...]:
    """What a name says beside a split's word."""
    return tuple(word for word in words(name) if word not in (*known, *FILLERS))
