"""Names that carry the class, or a number: photos/cat.0.jpg, photos/train/dog_017.png.

`label_from` under `data` finds it in the name; where it is not given, a pattern is suggested that fits all names.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cnncli.datasets.layouts.split_folders import EMPTY, images_below, split_folders
from cnncli.datasets.name_pattern import GROUP, found_in
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Listing, Sample, absent, number_in, numbers_hint
from cnncli.datasets.sources.unicode_names import composed

PATTERNS = (
    *(rf"(\D+){between}\d+" for between in (r"\.", "_", "-")),
    *(r"(\D+) \(\d+\)", r"(\D+) \d+"),
    *(rf"\d+{between}(\D+)" for between in (r"\.", "_", "-", " ")),
    r"(\D+)\d+",
)
"""Patterns of names that people give: cat.0, cat_001, cat-1, cat (3), 001-cat, cat7. A class has no digits in them."""
WORDS = re.compile(r"([^\W\d_]+[_ .-]+)*")
"""The first words of a name, with what separates them from the next."""
CAMERAS = {"img", "dsc", "dscn", "dscf", "pxl", "mvi", "image", "photo", "picture", "pic", "frame", "scan"}
"""Names of no class."""
MOST_COUNTED = 5


class Suggestion(NamedTuple):
    """A pattern that finds a class in the names of all files, and how many there are of each."""

    pattern: str
    counts: Mapping[str, int]


def shown(counts: Mapping[str, int]) -> str:
    """The first classes with their numbers of files."""
    named = [f"{name} {count:,}" for name, count in sorted(counts.items())]
    more = f" and {len(named) - MOST_COUNTED:,} more" if len(named) > MOST_COUNTED else ""
    return ", ".join(named[:MOST_COUNTED]) + more


class _Named(NamedTuple):
    """`files`: those of each split in whose names the pattern finds something; `texts`: what it finds."""

    files: Mapping[str, Sequence[str]]
    texts: Mapping[str, str]


def read(root: Path, data: DataSection) -> Listing:
    """List the images of a folder, wherever they lie, by what `label_from` finds in their names.

    Raises CnncliError where the folder can't be read.
    """
    pattern, problems = data.label_from or "", list[Problem]()
    parts = split_folders(root)
    given = {split: list(images_below(root, folder, problems)) for split, folder in parts.folders.items()}
    texts = {file: composed(found_in(pattern, file)) for files in given.values() for file in files}
    if len(given) > 1 and given.get("test") and not any(texts[file] for file in given["test"]):
        parts = replace(parts, left_out=(*parts.left_out, parts.folders["test"]))
        del given["test"]
    rule = f"the name of an image must match label_from, {pattern}"
    problems += [Problem(file, rule) for files in given.values() for file in files if not texts[file]]
    named = _Named({split: [file for file in files if texts[file]] for split, files in given.items()}, texts)
    made = _values(root, pattern, named) if data.targets == "values" else _classes(root, named)
    faults: tuple[Problem, ...] = ()
    if not made.splits:
        said = f"label_from, {pattern}, matches the name of no image (endings such as .jpg are left out)"
        faults = (Problem(".", said) if texts else EMPTY,)
    return replace(made, problems=(*problems, *made.problems), faults=faults, notes=(*parts.notes, *made.notes))


def _classes(root: Path, named: _Named) -> Listing:
    """Images with the classes in their names."""
    classes = tuple(sorted({named.texts[file] for files in named.files.values() for file in files}))
    number = {name: i for i, name in enumerate(classes)}
    splits = _splits(
        {split: [Sample(file, (number[named.texts[file]],)) for file in files] for split, files in named.files.items()}
    )
    untrained = tuple(_untrained(splits, classes))
    return Listing(root, classes, splits, False, (), (), notes=numbers_hint(classes), untrained=untrained)


def _values(root: Path, pattern: str, named: _Named) -> Listing:
    """Images with the numbers in their names, which are called by the name of the pattern's group."""
    numbers = {file: number_in(named.texts[file]) for files in named.files.values() for file in files}
    problems = [
        Problem(file, f"label_from must find a number; it finds {named.texts[file]!r}")
        for file, number in numbers.items()
        if number is None
    ]
    values = {file: (number,) for file, number in numbers.items() if number is not None}
    splits = _splits({split: [Sample(f) for f in files if f in values] for split, files in named.files.items()})
    groups = re.compile(pattern).groupindex
    output = next(iter(groups), "value") if GROUP not in groups else "value"
    return Listing(root, (), splits, False, problems, (), values=values, outputs=(output,))


def _splits(samples: Mapping[str, Sequence[Sample]]) -> dict[str, Sequence[Sample]]:
    return {split: sorted(samples[split]) for split in ("train", "validation", "test") if samples.get(split)}


def _untrained(splits: Mapping[str, Sequence[Sample]], classes: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with the classes, if they are trained on."""
    train = splits.get("train", ())
    lacking = absent(train, classes)
    if len(classes) == 1:
        yield Problem(classes[0], "there must be at least two classes; label_from finds only this one")
    elif len(classes) - len(lacking) == len(train) > 2:
        yield Problem(
            train[0].file,
            f"label_from must find the same class in several names; it finds another in each of {len(train):,}, such "
            f"as {', '.join(classes[sample.labels[0]] for sample in train[:3])}",
        )
    elif train:
        yield from (Problem(name, "a class must have at least one training image") for name in lacking)


def suggested(files: Sequence[str]) -> Suggestion | None:
    """The pattern that finds classes in the names of all files, most of them more than once; None where none does."""
    stems = [PurePosixPath(file).stem for file in files]
    found = next((pattern for pattern in PATTERNS if _matches(pattern, stems)), None)
    if found is None:
        return None
    before = _common_words(_matches(found, stems))
    pattern = found.replace(r"(\D+)", re.escape(before).replace("\\ ", " ").replace("\\-", "-") + r"(\D+)")
    counts = Counter(map(composed, _matches(pattern, stems)))
    known = all(any(map(str.isalpha, name)) for name in counts) and not {name.lower() for name in counts} <= CAMERAS
    return Suggestion(pattern, counts) if known and len(counts) > 1 and 2 * len(counts) <= len(stems) else None


def of_folder(root: Path) -> Suggestion | None:
    """The same of the training images of a folder. Raises CnncliError where it can't be read."""
    folders = split_folders(root).folders
    return suggested(list(images_below(root, folders.get("train", next(iter(folders.values()))), [])))


def advice(files: Sequence[str]) -> str:
    """What to do about images that lie in no class folder."""
    found = suggested(files)
    if found is not None:
        return f"{_told(found)}, or put the images of each class into a folder"
    first = PurePosixPath(files[0])
    sorted_by_hand = "put the images of each class into a folder, or list them in a labels.csv"
    if first.stem.isdecimal():
        return sorted_by_hand
    numbered = first.stem[0].isdecimal()
    example = r"(\d+)_" if numbered else r"(\w+)_\d+"
    return (
        f"{sorted_by_hand}; if their names tell the class, as {first.name} may, set `label_from` under `data` to a "
        f"regular expression whose group finds it, such as {_quoted(example)}"
        f"{' (with `targets: values` it is a number to predict)' * numbered}"
    )


def hint(files: Sequence[str]) -> str:
    """What to add to an error about images of one class; "" where their names tell no others."""
    found = suggested(files)
    return f"; {_told(found)}" if found else ""


def _told(found: Suggestion) -> str:
    return f"their names tell classes ({shown(found.counts)}): set `label_from: {_quoted(found.pattern)}` under `data`"


def _matches(pattern: str, stems: Sequence[str]) -> list[str]:
    """What a pattern finds in names that it describes as a whole; nothing where it does not describe all of them."""
    found = [re.fullmatch(pattern, stem) for stem in stems]
    return [match[1] for match in found if match] if all(found) else []


def _common_words(names: Sequence[str]) -> str:
    """The words with which all different names begin, such as IMG_ of IMG_cat and IMG_dog; "" for none."""
    if len(set(names)) < 2:
        return ""
    first, last = min(names), max(names)
    same = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    match = WORDS.match(same)
    return match[0] if match else ""


def _quoted(pattern: str) -> str:
    """A pattern as YAML reads it: in single quotes, in which backslashes are what they are."""
    return "'" + pattern.replace("'", "''") + "'"
