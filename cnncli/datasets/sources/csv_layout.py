"""CSV files of pixels: one row per image, with its class in one column and its pixels in the others.

This module reads the columns and the classes, without NumPy; `csv_arrays` reads the pixels. The class is in the
column named label (or class, target, y), or in the first one of a file without a header, or the last where only that
one can be it. Pixels are in the order of rows, then columns, then channels. As in fer2013, all pixels may be in one
column, `pixels`, separated by spaces, beside a column `Usage` of splits.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from math import isqrt
from pathlib import Path

from cnncli.datasets.problems import Problem, raise_any
from cnncli.datasets.section import AUTO, TABLE_KEYS, DataSection
from cnncli.datasets.sources import array_names
from cnncli.datasets.sources.csv_unlabelled import unlabelled_test
from cnncli.datasets.sources.found import Found, Listing, Sample, weight_in
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError, DeclarationError
from cnncli.hints import few
from cnncli.system import memory
from cnncli.system.files import bounded_lines, open_regular, text_lines

LABELS = ("label", "class", "target", "y")
WEIGHTS = ("sample_weight", "sample_weights")
PACKED, USAGE = "pixels", ("usage", "split", "set")
"""The column with all pixels, and names of that of the split beside it."""
USAGES = {
    **dict.fromkeys(("training", "train"), "train"),
    **dict.fromkeys(("publictest", "validation", "val", "valid"), "validation"),
    **dict.fromkeys(("privatetest", "test", "testing"), "test"),
}
"""The splits by what such a column says."""
SPLITS = {"x_train": "train", "x_val": "validation", "x_test": "test"}
MOST_CLASSES = 1 << 20
"""Names are made for no more: a label beyond is reported when it is held against the model's outputs."""
ROW = 256
"""Bytes of memory that a row takes while rows are divided among splits, its pixels aside: 240 where measured."""
NO, PERHAPS, LIKELY = range(3)
"""Whether a column can be that of the class."""
FEWER = 3
"""How many times fewer values make a column look more like classes than another."""
LONGEST_NUMBER = 18
"""Digits of a class number: it is kept as int64."""


@dataclass(frozen=True)
class Columns:
    """`names`: of all columns, their numbers from 1 where there is no header; `label`: which is the class, if any.

    `weight`: which is the weight, if any. `packed`: the column that has all pixels, of which there are `held`; `usage`:
    that of the split beside it.
    """

    names: tuple[str, ...]
    label: int | None
    header: bool
    packed: int | None = None
    held: int = 0
    usage: int | None = None
    weight: int | None = None

    @property
    def others(self) -> list[int]:
        """The columns of the class and the weight, in their order, where the others are pixels."""
        return sorted(at for at in (self.label, self.weight) if at is not None)

    @property
    def pixels(self) -> int:
        """How many pixels a row has."""
        return len(self.names) - len(self.others) if self.packed is None else self.held


@dataclass(frozen=True)
class Tables:
    """By "train", "validation", "test": `files`, their `columns`, the class `numbers` of their rows (0 without labels).

    `classes`: the names; `notes`: which column was taken, where nothing says it. Integers are class numbers; names are
    numbered in sorted order. `usage`: the split of each row, where one file is all and says it. `weights`: those of the
    rows, by the split, where a table has them.
    """

    source: Found
    files: Mapping[str, Path]
    columns: Mapping[str, Columns]
    numbers: Mapping[str, Sequence[int]]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    usage: Sequence[str] = ()
    weights: Mapping[str, Sequence[float]] = field(default_factory=dict)


def tables(source: Found, data: DataSection, *, evaluated: bool = False) -> Tables:
    """The tables of a source. Raises CnncliError, with all that is wrong with their classes.

    `evaluated`: nothing is trained on them, and a single class is enough.
    """
    data.refuse_keys("test_split", *TABLE_KEYS)
    labelled = data.targets == "labels"
    files = {split: source.files[key] for key, split in SPLITS.items() if key in source.files}
    with csv_errors(source.file):
        left_out = files.pop("test") if labelled and unlabelled_test(files) else None
    first, *others = files
    columns = {split: _columns(path, data) for split, path in files.items()}
    notes = [] if left_out is None else [_left_out(left_out)]
    if data.label_column is None and not all(part.header for part in columns.values()):
        split = next(split for split, part in columns.items() if not part.header)
        at = _unnamed_label(files[split], len(columns[split].names))
        columns = {split: part if part.header else replace(part, label=at) for split, part in columns.items()}
        notes += [_note(files[split], at, len(columns[split].names))]
    for split in others:
        if columns[split].pixels != columns[first].pixels:
            raise CnncliError(
                f"{source.file}: images of all splits must have the same shape; {files[first].name} has "
                f"{columns[first].pixels:,} pixels per row, {files[split].name} {columns[split].pixels:,}"
            )
    problems: list[Problem] = []
    labels = {split: _labels(path, columns[split], problems, labelled=labelled) for split, path in files.items()}
    weighed = {split: part.names[part.weight] for split, part in columns.items() if part.weight is not None}
    if data.sample_weight not in (None, AUTO) and not weighed:
        raise _no_column(files[first], columns[first].names, data.sample_weight, "sample_weight")
    weights = {split: _weights(files[split], columns[split], problems) for split in weighed}
    notes += [f"{files[split].name}: {array_names.weights_note([name])}" for split, name in weighed.items()]
    raise_any(str(source.file), problems)
    needed = ROW * sum(map(len, labels.values()))
    if needed > (most := memory.limit()):
        raise CnncliError(
            f"{source.file}: its rows need {memory.shown(needed)} of memory, but this process may use only "
            f"{memory.shown(most)}"
        )
    for split, path in files.items():
        if not labels[split]:
            raise CnncliError(f"{path}: there must be at least one row of pixels")
    shown = {label for part in labels.values() for label in part}
    if labelled and not evaluated and len(set(labels.get("train", ()))) == 1:
        raise CnncliError(
            f"{files['train']}: there must be at least two classes; {labels['train'][0]!r} is the only one"
        )
    whole = all(_is_whole(label) for label in shown)
    names = [str(i) for i in range(min(max(map(int, shown)) + 1, MOST_CLASSES))] if whole else sorted(shown)
    rank = {label: int(label) for label in shown} if whole else {name: i for i, name in enumerate(names)}
    numbers = {split: [rank[label] for label in part] for split, part in labels.items()}
    usage = _usage(files[first], columns[first]) if len(files) == 1 else []
    return Tables(source, files, columns, numbers, tuple(names) if labelled else (), tuple(notes), usage, weights)


def _left_out(path: Path) -> str:
    return f"'{path.name}' is left out, because it has no classes: predict its images with `cnncli predict`"


def listing(found: Tables) -> Listing:
    """The rows as a folder's samples, each called by its number."""
    # A class number of which there is no row anywhere is missing from no split.
    shown = sorted({number for part in found.numbers.values() for number in part})
    rank = {number: i for i, number in enumerate(shown)}
    names = tuple(found.classes[number] if number < len(found.classes) else str(number) for number in shown)
    samples: dict[str, list[Sample]] = {}
    for split, part in found.numbers.items():
        for row, number in enumerate(part):
            own = found.usage[row] if found.usage else split
            samples.setdefault(own, []).append(Sample(f"{row:09}", (rank[number],)))
    return Listing(found.source.file, names, samples, several=False, problems=(), faults=())


def image_shape(found: Tables, input_shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    """(H, W, C) of each row: a square in grey or in RGB, else what the model's `input_shape` says; where that is (),
    and any shape will do, a row is one line of pixels.

    Raises DeclarationError where none fits the number of pixels.
    """
    count = next(iter(found.columns.values())).pixels
    for channels in (1, 3):
        side = isqrt(count // channels)
        if side * side * channels == count:
            return side, side, channels
    if input_shape is not None and len(input_shape) == 3:
        height, width, channels = input_shape
        if height * width * channels == count:
            return height, width, channels
    if input_shape == ():
        return 1, count, 1
    name = next(iter(found.files.values())).name
    raise DeclarationError(
        f"each row of {name} has {count:,} pixels, which is no square grayscale or RGB image: set "
        "`input_shape: [height, width, channels]` under `model`"
    )


@contextmanager
def csv_errors(path: Path) -> Iterator[None]:
    """Convert errors of reading a CSV file to a CnncliError that names it."""
    try:
        yield
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise CnncliError(f"{path}: a table must be UTF-8 text") from None
    except csv.Error as error:
        raise CnncliError(f"{path}: is not a valid CSV table: {error}") from None


def _note(path: Path, at: int, count: int) -> str:
    where = "first" if at == 0 else "last"
    return (
        f"{path.name} has no header: the {where} of its {count:,} columns is taken for the class (`label_column` under "
        "`data` names another)"
    )


def _unnamed_label(path: Path, count: int) -> int:
    """The column of the class in a table without a header: the first, or the last where only that can be it.

    Raises DeclarationError where both can.
    """
    ends = Counter[str](), Counter[str]()
    with csv_errors(path), open_regular(path) as file:
        for line in bounded_lines(file):
            if row := line.rstrip(b"\r\n"):
                for end, at in zip(ends, (0, count - 1), strict=True):
                    end[cell_of(row, at, count).decode("utf-8-sig").strip().strip('"').strip()] += 1
    first, last = map(_likeness, ends)
    if last == LIKELY and first == NO:
        return count - 1
    if last == LIKELY or (first == last == PERHAPS and FEWER * len(ends[1]) < len(ends[0])):
        raise DeclarationError(
            f"{path.name} has no header, and both its first and its last column can be the class: set "
            f"`label_column: 1` or `label_column: {count}` under `data`"
        )
    return 0


def _likeness(values: Counter[str]) -> int:
    """Whether the cells of a column are classes: LIKELY for names, and for the numbers from 0 or 1 on, several times
    each; PERHAPS for other numbers; NO for a single one, and for what is no class.
    """
    if len(values) < 2 or any(map(_flaw, values)):
        return NO
    if not all(map(_is_whole, values)):
        return LIKELY
    numbers = sorted(map(int, values))
    runs = numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1
    return LIKELY if runs and 2 * len(numbers) <= values.total() else PERHAPS


def _columns(path: Path, data: DataSection) -> Columns:
    labelled = data.targets == "labels"
    with csv_errors(path), text_lines(path) as lines:
        first = [cell.strip() for cell in next(csv.reader(lines), [])]
    if len(first) < 2:
        said = f"the first line is {first[0][:60]!r}" if first else "the first line is empty"
        raise CnncliError(f"{path}: rows must have a class and pixels, separated by commas; {said}")
    asked = data.label_column
    named = [i for i, name in enumerate(first) if name.lower() in LABELS]
    words = sum(not _is_number(cell) for cell in first)
    counted = first in ([str(i + start) for i in range(len(first))] for start in (0, 1))
    if not (named or counted or 2 * words > len(first)):
        weight = _weight(first, data, header=False)
        names = tuple(str(i + 1) for i in range(len(first)))
        return Columns(names, _asked(path, first, data) or 0, header=False, weight=weight)
    if not all(first):
        raise CnncliError(
            f"{path}: every column must have a name; column {first.index('') + 1} has none (pandas writes its index "
            "there unless index=False is set)"
        )
    if any(name.lower() == PACKED for name in first):
        return _packed(path, first, data)
    weight = _weight(first, data)
    if asked is not None:
        return Columns(tuple(first), _asked(path, first, data), header=True, weight=weight)
    if len(named) > 1 or (labelled and not named):
        raise CnncliError(
            f"{path}: one column must be named {', '.join(LABELS[:-1])} or {LABELS[-1]}, for the class of each row; "
            f"received {few(first, 4)}; `label_column` under `data` names another"
        )
    return Columns(tuple(first), named[0] if named else None, header=True, weight=weight)


def _packed(path: Path, names: list[str], data: DataSection) -> Columns:
    """The columns of a table that has all pixels in one. Raises CnncliError where that of the class is not sure."""
    lower = [name.lower() for name in names]
    packed, usage = lower.index(PACKED), next((lower.index(name) for name in USAGE if name in lower), None)
    weight = _weight(names, data)
    others = [at for at in range(len(names)) if at not in (packed, usage, weight)]
    label = _asked(path, names, data)
    if label is None and data.targets == "labels":
        if len(others) != 1:
            raise CnncliError(
                f"{path}: one column beside {names[packed]} must be the class; received {few(names, 4)}: name it by "
                "`label_column` under `data`"
            )
        label = others[0]
    with csv_errors(path), open_regular(path) as file:
        first = next((row for line in islice(bounded_lines(file), 1, None) if (row := line.rstrip(b"\r\n"))), b"")
    held = len(cell_of(first, packed, len(names)).split())
    return Columns(tuple(names), label, True, packed, held, usage, weight)


def _usage(path: Path, columns: Columns) -> list[str]:
    """The split of each row. Raises CnncliError with the lines of those that say none."""
    if columns.usage is None:
        return []
    problems, made = list[Problem](), list[str]()
    name = columns.names[columns.usage]
    with csv_errors(path), open_regular(path) as file:
        for number, line in enumerate(bounded_lines(file), 1):
            row = line.rstrip(b"\r\n")
            if not row or number == 1:
                continue
            cell = cell_of(row, columns.usage, len(columns.names)).decode("utf-8-sig").strip().strip('"').strip()
            if cell.lower() not in USAGES:
                rule = f"{name!r} must be Training, PublicTest or PrivateTest, or train, validation or test; received"
                problems.append(Problem(f"{path.name}:{number}:{columns.usage + 1}", f"{rule} {cell!r}"))
            made.append(USAGES.get(cell.lower(), ""))
    raise_any(str(path), problems)
    return made


def _weight(names: Sequence[str], data: DataSection, *, header: bool = True) -> int | None:
    """The column of weights, if a table has it: other splits may."""
    asked = data.sample_weight
    if asked == AUTO:
        return next((at for at, name in enumerate(names) if header and is_weight(name)), None)
    if isinstance(asked, int):
        return asked - 1 if asked <= len(names) else None
    return names.index(asked) if asked in names else None


def is_weight(name: str) -> bool:
    """Whether a column of this name has the weights of rows."""
    return name.lower() in WEIGHTS


def _no_column(path: Path, names: Sequence[str], asked: str | int | None, key: str) -> DeclarationError:
    """The error for a table that has not the column that the spec's `key` names."""
    rule = f"a column of {path.name}, {few(names, 4)} or 1 to {len(names):,}"
    return DeclarationError(f"{key} must be {rule}; received {asked}", key)


def _asked(path: Path, names: list[str], data: DataSection) -> int | None:
    """The column that `label_column` names. Raises DeclarationError where there is none."""
    asked = data.label_column
    if asked is None:
        return None
    if isinstance(asked, int) and asked <= len(names):
        return asked - 1
    if asked in names:
        return names.index(str(asked))
    raise _no_column(path, names, asked, "label_column")


def _labels(path: Path, columns: Columns, problems: list[Problem], *, labelled: bool) -> list[str]:
    """The class of each row, "0" without labels; what is wrong with one is added to `problems`."""
    at, labels = columns.label if labelled else None, []
    known: dict[bytes, str] = {}
    with csv_errors(path), open_regular(path) as file:
        for number, line in enumerate(bounded_lines(file), 1):
            row = line.rstrip(b"\r\n")
            if not row or (columns.header and number == 1):
                continue
            cell = b"0" if at is None else cell_of(row, at, len(columns.names))
            if cell not in known:
                label = composed(cell.decode("utf-8-sig").strip().strip('"').strip())
                rule = _flaw(label)
                if rule:
                    name = repr(columns.names[at or 0]) if columns.header else "the class"
                    problems.append(Problem(f"{path.name}:{number}:{(at or 0) + 1}", f"{name} {rule}"))
                    continue
                known[cell] = label
            labels.append(known[cell])
    return labels


def _weights(path: Path, columns: Columns, problems: list[Problem]) -> list[float]:
    """The weight of each row; what is wrong with one is added to `problems`."""
    at, weights = columns.weight or 0, []
    with csv_errors(path), open_regular(path) as file:
        for number, line in enumerate(bounded_lines(file), 1):
            row = line.rstrip(b"\r\n")
            if not row or (columns.header and number == 1):
                continue
            weight = weight_in(cell_of(row, at, len(columns.names)).decode("utf-8-sig").strip().strip('"').strip())
            if isinstance(weight, str):
                problems.append(Problem(f"{path.name}:{number}:{at + 1}", f"{columns.names[at]!r} {weight}"))
            else:
                weights.append(weight)
    return weights


def cell_of(row: bytes, at: int, count: int) -> bytes:
    """Cell `at` of a row of `count`, cut off from the nearer end: rows are long, and there are many of them."""
    if b'"' in row:
        texts = next(csv.reader([row.decode("utf-8-sig")]))
        return texts[at].encode() if at < len(texts) else b""
    near = at < count // 2
    cells = row.split(b",", at + 1) if near else row.rsplit(b",", count - at)[-(count - at) :]
    place = at if near else 0
    return cells[place] if place < len(cells) else b""


def _flaw(label: str) -> str:
    """The rule that the text of a class breaks, or ""."""
    if not label:
        return "must be a class name or number; it is empty"
    if _is_number(label) and not _is_whole(label):
        return f"must be a class name or an integer ≥ 0; received {label!r}"
    return ""


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
