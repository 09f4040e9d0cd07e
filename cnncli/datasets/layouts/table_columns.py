"""Which columns of a table of images mean what: by their usual names, or as `columns` under `data` says."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cnncli.datasets.section import AUTO, DataSection, TableColumns
from cnncli.datasets.sources.csv_layout import PACKED
from cnncli.errors import CnncliError, DeclarationError
from cnncli.hints import few

TABLE = "labels.csv"
"""In it `file` and other names than `label` are that and classes, whatever else the names could mean."""
FILE, LABEL = "file", "label"
FILES = (
    *("file", "filename", "filepath", "filepaths", "path", "imagepath", "imagefile", "imagefilename", "imagename"),
    *("image", "images", "img", "imgname", "imgpath", "imgfile", "photo", "picture"),
    *("imageindex", "imageid", "imgid", "idcode", "id"),
)
"""Usual names of the column of files, the surest first: of two that a table has it is the first."""
LABELS = (
    *("label", "labels", "class", "classname", "classid", "classlabel", "category", "species", "breed", "target"),
    *("diagnosis", "dx", "level", "findinglabels", "tags", "variety", "emotion", "y"),
)
"""Usual names of the column of the class."""
SPLITS = ("split", "splits", "set", "subset", "dataset", "datasplit", "usage", "partition")
"""Usual names of the column of the split."""
WEIGHTS = ("sampleweight", "sampleweights")
"""Usual names of the column of weights."""
PIXEL = re.compile(r"(pixel|pix|px|p|x|f|v)?\d+(x\d+)?")
"""Names of columns of pixels, of which a table of pixels has more than of others."""
NONE = TableColumns()
MOST_NAMED = 20
"""Columns that a message lists."""


@dataclass(frozen=True)
class Columns:
    """The places of the columns of a table: the file's, those that are `labels` or can be, the split's, the group's,
    the weight's.

    `single`: the label is one column, with the name of a class; else each is a class, with 1 or 0. `asked`: `columns`
    names the labels.
    """

    names: tuple[str, ...]
    file: int
    labels: tuple[int, ...]
    single: bool
    split: int | None = None
    asked: bool = False
    group: int | None = None
    weight: int | None = None

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(self.names[at] for at in self.labels)

    @property
    def ignored(self) -> tuple[str, ...]:
        """The names of the columns that mean nothing."""
        used = {self.file, self.split, self.group, self.weight, *self.labels}
        return tuple(name for at, name in enumerate(self.names) if at not in used and name)

    def with_labels(self, places: Iterable[int]) -> "Columns":
        """The same with fewer columns of labels."""
        return replace(self, labels=tuple(places))


def folded(name: str) -> str:
    """A column's name without regard to case, spaces and signs."""
    return re.sub(r"[\W_]+", "", name).casefold()


def are_pixels(names: Sequence[str]) -> bool:
    """Whether columns of these names are those of a table of pixels."""
    known = [folded(name) for name in names]
    return PACKED in known or 2 * sum(bool(PIXEL.fullmatch(name)) for name in known) > len(known)


def is_image_table(names: Sequence[str], asked: TableColumns | None = None) -> bool:
    """Whether columns of these names are those of a table of image files and more, not of pixels."""
    given = asked or NONE
    if len(names) < 2 or are_pixels(names):
        return False
    return given["file"] in names if "file" in given else any(folded(name) in FILES for name in names)


def has_label(names: Sequence[str], asked: TableColumns | None = None) -> bool:
    """Whether one of the columns surely is that of the class."""
    labels = (asked or NONE).labels
    return any(name in labels for name in names) if labels else any(folded(name) in LABELS for name in names)


def columns(path: Path, names: Sequence[str], data: DataSection) -> Columns:
    """The columns of a table, of which `group_by` may name one. Where numbers are predicted, all others are labels.

    Raises CnncliError where the names do not tell them, DeclarationError where those that are asked for are not there.
    """
    given, values = data.columns or NONE, data.targets == "values"
    file = _place(path, names, given["file"], "file") if "file" in given else _first(names, FILES)
    if file is None:
        raise CnncliError(wrong(path, names, values=values))
    split = _place(path, names, given["split"], "split") if "split" in given else _first(names, SPLITS, {file})
    group = names.index(data.group_by) if data.group_by in names and names[file] != data.group_by else None
    weight = _weight(names, data.sample_weight)
    if given.labels:
        places = tuple(_place(path, names, name, "label") for name in given.labels)
        single = not values and isinstance(given["label"], str)
        return Columns(tuple(names), file, places, single, split, asked=True, group=group, weight=weight)
    # Without a name, a column is an index that pandas has written; beside `file` it is a mistake.
    used = (file, split, group, weight)
    others = [at for at, name in enumerate(names) if at not in used and (name or names[file] == FILE)]
    plain = path.name == TABLE and names[file] == FILE and (values or LABEL not in names) and len(others) > 1
    known = [] if plain else [at for at in others if folded(names[at]) in LABELS]
    single = bool(known) and not values
    labels = tuple(known or others)
    named = all(names[at] and names.count(names[at]) == 1 for at in (file, *labels))
    if not named or not labels or (len(labels) == 1 and not single and not values):
        raise CnncliError(wrong(path, names, values=values))
    return Columns(tuple(names), file, labels, single, split, group=group, weight=weight)


def wrong(path: Path, names: Sequence[str], *, values: bool = False) -> str:
    """What to say of a table whose columns are others."""
    must = (
        f"with `targets: values` the columns must be {FILE} and one for each value"
        if values
        else f"the columns must be {FILE} and {LABEL}, or {FILE} and one 0/1 column per class"
    )
    keys = "label: …" if _first(names, FILES) is not None else "file: …, label: …"
    return f"{path}: {must}; received {_few(names)}: name others by `columns: {{{keys}}}` under `data`"


def _weight(names: Sequence[str], asked: str | int | None) -> int | None:
    """The column of weights, if a table has it: other tables of the same images may."""
    if asked == AUTO:
        return _first(names, WEIGHTS)
    if isinstance(asked, int):
        return asked - 1 if asked <= len(names) else None
    return names.index(asked) if asked in names else None


def _first(names: Sequence[str], known: Sequence[str], but: Iterable[int] = ()) -> int | None:
    """The column that has the first of some usual names."""
    places = {folded(name): at for at, name in reversed(list(enumerate(names))) if at not in but}
    return next((places[name] for name in known if name in places), None)


def _place(path: Path, names: Sequence[str], name: str, key: str) -> int:
    if names.count(name) == 1:
        return names.index(name)
    raise DeclarationError(
        f"columns: {key} must be one column of {path.name}, {_few(names)}; received {name}", "columns"
    )


def _few(names: Sequence[str]) -> str:
    return few(names, MOST_NAMED) or "none"
