"""Detection sets: images in which boxes mark objects. Of their boxes a classification set can be made.

own/annotations/instances_train2017.json    COCO; also train/_annotations.coco.json
own/Annotations/1.xml                       Pascal VOC
own/labels/train/1.txt                      YOLO
own/train/_annotations.csv                  a table
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from cnncli.datasets.layouts import objects_coco, objects_csv, objects_voc, objects_yolo, split_lists
from cnncli.datasets.layouts.objects import Marked, Marks, Pictures, split_in
from cnncli.datasets.layouts.place import No, Place, Yes
from cnncli.datasets.layouts.split_folders import files_below, is_image
from cnncli.datasets.layouts.split_names import split_of
from cnncli.datasets.problems import Problem
from cnncli.datasets.sources.found import Crop, Found, Listing, Sample
from cnncli.datasets.sources.image_names import entries
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import DeclarationError

RANK = 2
READERS: Sequence[ModuleType] = (objects_coco, objects_voc, objects_yolo, objects_csv)
FOLDERS = ("annotations", "annotation", "annots", "labels", "xmls", "xml", "boxes")
ENDINGS = (".json", ".xml", ".csv", ".yaml", ".yml", ".names")
"""Names of folders and of files, of which a detection set has some where it begins or in the folders of its splits."""
ORDER = ("train", "validation", "test")


class _Set(NamedTuple):
    """`kind`: what a set is called. `read`: reads it. `names_splits`: whether its files' names say so."""

    kind: str
    read: Callable[[], Marks]
    names_splits: bool


def recognize(place: Place) -> Iterator[Yes | No]:
    """A folder whose files mark objects, where classes are asked for."""
    if place.data.targets != "labels" or place.data.layout != "auto" or not place.is_folder:
        return
    found = _found(place) if place.data.crop_boxes or _may_be_one(place) else None
    if found is not None:
        reader = partial(_read if place.data.crop_boxes else _refused, place.path, found)
        where = str(place.path), "folder", place.path
        yield Yes(Found(*where, listing=reader, names_splits=found.names_splits, boxes=found.kind), RANK)
    elif place.data.crop_boxes:
        raise DeclarationError(
            f"crop_boxes requires a detection set (COCO, Pascal VOC, YOLO or a table of boxes); {place.path} is none",
            "crop_boxes",
        )


def _may_be_one(place: Place) -> bool:
    """Whether it is worth to look at the names of all files."""
    inner = [name for name, is_folder in place.entries if is_folder and split_of(name)]
    found = [*place.entries, *(entry for name in inner for entry in entries(place.path / name))]
    return any(
        name.lower() in FOLDERS if is_folder else name in objects_yolo.LISTS or name.lower().endswith(ENDINGS)
        for name, is_folder in found
    )


def _found(place: Place) -> _Set | None:
    """What a folder is, by the names of its files, and the beginning of some."""
    files = list(files_below(place.path, ""))
    for reader in READERS:
        named = reader.found(place.path, files)
        if named:
            names_splits = any(map(split_in, named)) or (place.path / split_lists.MAIN[0]).is_dir()
            return _Set(reader.KIND, partial(reader.read, place.path, named, Pictures(files)), names_splits)
    return None


def _refused(root: Path, found: _Set) -> Listing:
    raise DeclarationError(
        f"{root} is a detection set ({found.kind}), and cnncli trains classifiers and segmenters, which predict no "
        "boxes: to classify the content of each box, set `crop_boxes: true` and image_size under `data`"
    )


def _read(root: Path, found: _Set) -> Listing:
    """List the boxes of a set as images. Raises CnncliError where it can't be read."""
    marks = found.read()
    problems = list(marks.problems)
    crops: dict[str, Crop] = {}
    labels: dict[str, str] = {}
    for image, objects in sorted(marks.objects.items()):
        if objects and not is_image(image, problems):
            continue
        for number, marked in enumerate(objects, start=1):
            name = f"{image}#{number}"
            if rule := _flaw(marked):
                problems.append(Problem(name, rule))
                continue
            crops[name] = Crop(image, marked.box, marks.relative)
            labels[name] = composed(marked.label)
    classes = tuple(sorted(set(labels.values())))
    number_of = {name: number for number, name in enumerate(classes)}
    splits: dict[str, list[Sample]] = {}
    for name, crop in crops.items():
        split = marks.split_of.get(crop.file, "train")
        splits.setdefault(split, []).append(Sample(name, (number_of[labels[name]],)))
    kept = {name: sorted(splits[name]) for name in ORDER if name in splits}
    notes = [_note(found.kind, labels, marks)]
    faults = list(_faults(classes, kept))
    groups = {name: crop.file for name, crop in crops.items()}
    told = tuple(problems), tuple(faults)
    return Listing(root, classes, kept, False, *told, notes=notes, groups=groups, crops=crops)


def _flaw(marked: Marked) -> str:
    """The rule that an object breaks; "" for none."""
    left, top, right, bottom = marked.box
    if marked.flaw:
        return marked.flaw
    if not all(map(isfinite, marked.box)):
        return "a box must be of finite numbers"
    if right <= left or bottom <= top:
        return "a box must have an area"
    if not marked.label or not marked.label.isprintable():
        return f"a box must have the name of a class; received {marked.label!r}"
    return ""


def _note(kind: str, labels: Mapping[str, str], marks: Marks) -> str:
    counts = ", ".join(f"{name} {count:,}" for name, count in sorted(Counter(labels.values()).items()))
    empty = sum(not objects for objects in marks.objects.values())
    without = f"; {empty:,} images without a box are left out" if empty else ""
    return f"each box of the detection set ({kind}) is an image: {counts}, in {len(marks.objects):,} images{without}"


def _faults(classes: Sequence[str], splits: Mapping[str, Sequence[Sample]]) -> Iterator[Problem]:
    if not splits:
        yield Problem(".", "there must be at least one usable box")
    elif len(classes) == 1:
        yield Problem(classes[0], "there must be at least two classes; this is the only one")
