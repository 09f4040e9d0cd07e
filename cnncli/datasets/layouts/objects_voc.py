"""Pascal VOC: an XML file an image, in Annotations/ or beside the images, with <object><bndbox>."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from xml.parsers import expat

from cnncli.datasets.layouts import split_lists
from cnncli.datasets.layouts.objects import Marked, Marks, Pictures, numbers_of, read_text, split_in
from cnncli.datasets.problems import Problem
from cnncli.errors import CnncliError

KIND = "Pascal VOC"
MOST_BYTES = 4 << 20
DEEPEST = 32
LONGEST = 10_000
"""Characters of a text."""
SNIFFED = 5
"""Files that are looked into."""
SIDES = ("xmin", "ymin", "xmax", "ymax")
OBJECT = ("annotation", "object")


class _Refused(ValueError):
    """A file that is not read further, and why."""


def found(root: Path, files: Sequence[str]) -> list[str]:
    """The files that hold boxes, if the first of them do."""
    named = [file for file in files if file.lower().endswith(".xml")]
    for file in islice(named, SNIFFED):
        try:
            if _objects(read_text(root / file, MOST_BYTES)):
                return named
        except (_Refused, expat.ExpatError, CnncliError):
            continue
    return []


def read(root: Path, files: Sequence[str], pictures: Pictures) -> Marks:
    """What the files mark."""
    marks = Marks()
    for file in files:
        try:
            image = pictures.find(PurePosixPath(file).stem, file)
            objects = _objects(read_text(root / file, MOST_BYTES))
            marks.objects[image] = [_marked(cells) for cells in objects]
        except expat.ExpatError as error:
            marks.problems.append(Problem(file, f"must be XML: {error}"))
        except CnncliError as error:
            marks.problems.append(Problem(file, str(error).removeprefix(f"{root / file}: ")))
        except ValueError as error:
            marks.problems.append(Problem(file, str(error)))
        else:
            if split := split_in(image):
                marks.split_of[image] = split
    listed = None if marks.split_of else split_lists.lists(root, marks.objects, split_lists.MAIN)
    if listed is not None:
        marks.split_of = dict(listed.split_of)
        marks.objects = {image: marks.objects[image] for image in listed.split_of}
        marks.problems += listed.problems
    return marks


def _marked(cells: dict[str, str]) -> Marked:
    left, top, right, bottom = numbers_of(cells, SIDES)
    flaw = "a box must not be marked as difficult" if cells.get("difficult", "0").strip() not in ("0", "") else ""
    # The first pixel is 1, and the last is within.
    return Marked(cells.get("name", ""), (left - 1, top - 1, right, bottom), flaw)


def _objects(text: str) -> list[dict[str, str]]:
    """The texts of each object: its name, difficult, and the sides of its box.

    Entities, which may open other files or grow without end, are refused. Raises _Refused, ExpatError.
    """
    objects: list[dict[str, str]] = []
    path: list[str] = []

    def begin(name: str, attributes: dict[str, str]) -> None:
        path.append(name)
        if len(path) > DEEPEST:
            raise _Refused(f"must be at most {DEEPEST} elements deep")
        if tuple(path) == OBJECT:
            objects.append({})

    def end(name: str) -> None:
        path.pop()

    def add(data: str) -> None:
        *around, name = path
        if tuple(around) in (OBJECT, (*OBJECT, "bndbox")):
            objects[-1][name] = objects[-1].get(name, "") + data
            if len(objects[-1][name]) > LONGEST:
                raise _Refused(f"a text must have at most {LONGEST:,} characters")

    def refuse(*declared: object) -> None:
        raise _Refused("must declare no entities")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, add
    parser.EntityDeclHandler = refuse
    parser.Parse(text, True)
    return [{name: value.strip() for name, value in cells.items()} for cells in objects]
