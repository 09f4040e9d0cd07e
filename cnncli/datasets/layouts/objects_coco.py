"""COCO: annotations/instances_train2017.json, or _annotations.coco.json beside the images (Roboflow)."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from cnncli.datasets.layouts.objects import Marked, Marks, Pictures, number, read_text, split_in
from cnncli.datasets.problems import Problem
from cnncli.errors import CnncliError
from cnncli.system.files import open_regular

KIND = "COCO"
NAME = re.compile(r"instances_.*\.json|.*annotations\.coco\.json|coco.*\.json", re.IGNORECASE)
OTHERS = re.compile(r"(.*annotations?|labels|train|val|valid|test)\.json", re.IGNORECASE)
"""Names of files that are looked into."""
MOST_BYTES = 512 << 20
"""COCO itself has 450 MB."""
SNIFFED = 1 << 16
MOST_SHOWN = 60


def found(root: Path, files: Sequence[str]) -> list[str]:
    """The files that hold boxes."""
    return [file for file in files if _is_one(root, file)]


def read(root: Path, files: Sequence[str], pictures: Pictures) -> Marks:
    """What the files mark. Raises CnncliError for one that can't be read or is not of this form."""
    marks = Marks()
    for file in files:
        try:
            told = json.loads(read_text(root / file, MOST_BYTES))
            categories = {entry["id"]: str(entry["name"]) for entry in told["categories"]}
            images = {entry["id"]: str(entry["file_name"]) for entry in told["images"]}
            annotations = list(told["annotations"])
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            said = f"{type(error).__name__}: {error}"[:MOST_SHOWN]
            raise CnncliError(f"{root / file}: must be JSON with images, annotations and categories ({said})") from None
        placed = dict(_placed(file, images, pictures, marks))
        for entry in annotations:
            _add(file, entry, categories, placed, marks)
    return marks


def _is_one(root: Path, file: str) -> bool:
    name = PurePosixPath(file).name
    if NAME.fullmatch(name):
        return True
    if not OTHERS.fullmatch(name):
        return False
    try:
        with open_regular(root / file) as opened:
            start = opened.read(SNIFFED)
            opened.seek(max(0, (root / file).stat().st_size - SNIFFED))
            text = start + opened.read(SNIFFED)
    except OSError:
        return False
    return b'"categories"' in text and b'"bbox"' in text


def _placed(file: str, images: dict[Any, str], pictures: Pictures, marks: Marks) -> Iterator[tuple[Any, str]]:
    split = split_in(file)
    for key, name in images.items():
        try:
            image = pictures.find(name, file)
        except ValueError as error:
            marks.problems.append(Problem(file, str(error)))
            continue
        marks.objects.setdefault(image, [])
        if split:
            marks.split_of.setdefault(image, split)
        yield key, image


def _add(file: str, entry: Any, categories: dict[Any, str], placed: dict[Any, str], marks: Marks) -> None:
    try:
        image = placed.get(entry["image_id"])
        left, top, width, height = (number(value) for value in entry["bbox"])
        label = categories[entry["category_id"]]
    except (KeyError, TypeError, ValueError) as error:
        what = error.args[0] if isinstance(error, ValueError) else f"it lacks or has a wrong {error}"
        marks.problems.append(Problem(file, f"an annotation must have image_id, category_id and bbox; {what}"))
        return
    if image is None:  # which has been told, or is not of the set
        return
    flaw = "a box must not be of a crowd (iscrowd: 1)" if entry.get("iscrowd") else ""
    marks.objects[image].append(Marked(label, (left, top, left + width, top + height), flaw))
