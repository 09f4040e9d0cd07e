"""YOLO: a text file an image, with a line `class x y width height` an object, relative to the image's size.

The files lie in labels/ where images are in images/, or beside them; names in data.yaml, classes.txt or obj.names.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from cnncli.datasets.layouts.objects import Marked, Marks, Pictures, number, read_text, split_in
from cnncli.datasets.problems import Problem
from cnncli.errors import CnncliError

KIND = "YOLO"
LISTS = ("classes.txt", "obj.names", "labels.txt", "_darknet.labels")
YAML = ("data.yaml", "dataset.yaml", "data.yml")
OTHERS = (*LISTS, "train.txt", "val.txt", "valid.txt", "test.txt", "trainval.txt")
MOST_BYTES = 4 << 20
SNIFFED = 20
BOX = 5
"""Words of a line of a box; those of polygons and key points have more."""


def found(root: Path, files: Sequence[str]) -> list[str]:
    """The files that hold boxes: those of folders called labels, or all where there are names of classes."""
    texts = [file for file in files if file.lower().endswith(".txt") and PurePosixPath(file).name not in OTHERS]
    within = [file for file in texts if "labels" in map(str.lower, PurePosixPath(file).parent.parts)]
    named = any(PurePosixPath(file).name in (*LISTS, *YAML) for file in files)
    texts = within or (texts if named else [])
    return texts if any(_is_one(root / file) for file in islice(texts, SNIFFED)) else []


def read(root: Path, files: Sequence[str], pictures: Pictures) -> Marks:
    """What the files mark. Raises CnncliError where the names of classes can't be read."""
    names = _names(root)
    marks = Marks(relative=True)
    for file in files:
        try:
            image = pictures.find(_image(file), file)
        except ValueError as error:
            marks.problems.append(Problem(file, str(error)))
            continue
        objects = marks.objects.setdefault(image, [])
        if split := split_in(image):
            marks.split_of[image] = split
        for line, text in enumerate(read_text(root / file, MOST_BYTES).splitlines(), start=1):
            if not text.strip():
                continue
            try:
                label, box = _object(text)
            except ValueError as error:
                marks.problems.append(Problem(f"{file}:{line}", str(error)))
                continue
            objects.append(Marked(names.get(label, str(label)), box))
    return marks


def _object(text: str) -> tuple[int, tuple[float, float, float, float]]:
    """The class and the box of a line. Raises ValueError."""
    words = text.split()
    if len(words) < BOX or not words[0].isdecimal() or len(words[0]) > BOX:
        raise ValueError("a line must have a class number, and x, y, width and height of a box")
    values = [number(word) for word in words[1:]]
    if len(values) % 2 == 0 and len(values) >= 2 * 3:  # a polygon
        across, down = values[::2], values[1::2]
        return int(words[0]), (min(across), min(down), max(across), max(down))
    x, y, width, height = values[:4]
    return int(words[0]), (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _is_one(path: Path) -> bool:
    """Whether the first line of a file marks an object."""
    try:
        lines = read_text(path, MOST_BYTES).split("\n", 1)
        return bool(lines[0].strip()) and bool(_object(lines[0]))
    except (ValueError, CnncliError):
        return False


def _image(file: str) -> str:
    """The path of a file's image, without an ending, from the folder called labels on."""
    path = PurePosixPath(file).with_suffix("")
    parts = list(path.parts)
    places = [place for place, part in enumerate(parts[:-1]) if part.lower() == "labels"]
    return "/".join(parts[places[-1] + 1 :]) if places else str(path)


def _names(root: Path) -> dict[int, str]:
    """The names of classes by their numbers, where a file tells them."""
    for folder in (root, root / "labels", root / "train", root / "train/labels"):
        for name in YAML:
            if (folder / name).is_file():
                return _of_yaml(folder / name)
        for name in LISTS:
            if (folder / name).is_file():
                lines = read_text(folder / name, MOST_BYTES).splitlines()
                return {number: line.strip() for number, line in enumerate(lines) if line.strip()}
    return {}


def _of_yaml(path: Path) -> dict[int, str]:
    import yaml  # here, because other data need none of it

    try:
        told = yaml.load(read_text(path, MOST_BYTES), Loader=yaml.BaseLoader)  # makes texts, lists and mappings only
        names = told["names"]
        pairs = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(number): str(name) for number, name in pairs}
    except (yaml.YAMLError, RecursionError, KeyError, TypeError, ValueError):
        raise CnncliError(f"{path}: must have `names`, a list of classes") from None
