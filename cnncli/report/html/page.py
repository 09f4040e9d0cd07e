"""The record that the templates show, as plain data: a page, a part for each run, and what these consist of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup


class Fact(NamedTuple):
    """A name and what it has. `code`: the value is shown as code."""

    name: str
    value: str
    code: bool = False


class Notice(NamedTuple):
    """A sentence that must not be missed. `kind`: "bad", or "note" for what is only missing."""

    kind: str
    text: str


class Verdict(NamedTuple):
    """A condition of `expect`, the figure, and whether it is met; None: not checked."""

    condition: str
    value: str
    met: bool | None


class Cell(NamedTuple):
    """A cell of a table. `link`: where it leads; `color`: of a swatch before the text."""

    text: str
    link: str = ""
    color: str = ""


class Column(NamedTuple):
    """A column's head; numbers are aligned to the right."""

    name: str
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """A table. The first cell of a row is its head; `foot`: rows that stay below the others however they are sorted.

    Columns of numbers are sorted by the number that a cell begins with.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    foot: Sequence[Sequence[Cell]] = ()
    sortable: bool = False


@dataclass(frozen=True)
class Picture:
    """An SVG element. `cursor`: JSON for a cursor over a chart (charts.py); `wide`: not shrunk on a small screen."""

    title: str
    svg: Markup
    cursor: str = ""
    wide: bool = False


class Thumbnail(NamedTuple):
    """A small image, for the page as a data URI, with lines of text below it.

    `pair`: the cell of the confusion matrix that it belongs to, as "3-5"; `id`: of the first of a pair; `worst`: it is
    among the worst mistakes.
    """

    source: str
    alt: str
    lines: Sequence[str]
    width: int
    height: int
    pair: str = ""
    id: str = ""
    worst: bool = False


class Pair(NamedTuple):
    """Samples of one class that were taken for another: how many there are. `id`: of the first image of them."""

    id: str
    pair: str
    text: str
    total: int


@dataclass(frozen=True)
class Gallery:
    """Misclassified samples, the worst first; `pairs`: those that have an image."""

    total: int
    thumbnails: Sequence[Thumbnail]
    pairs: Sequence[Pair]
    note: str = ""


class Sample(NamedTuple):
    """An input with its target and the model's output, side by side."""

    title: str
    thumbnails: Sequence[Thumbnail]


@dataclass(frozen=True)
class Samples:
    """Some samples, and how they were chosen."""

    title: str
    note: str
    samples: Sequence[Sample]


@dataclass(frozen=True)
class DataPart:
    """What was trained on. `augment`: the augmentations, as they are written in the spec."""

    facts: Sequence[Fact]
    counts: Table | None
    augment: Sequence[str]
    samples: Sequence[Thumbnail] = ()


@dataclass(frozen=True)
class EvaluationPart:
    """The evaluation on one split."""

    split: str
    facts: Sequence[Fact]
    confusion: Picture | None = None
    pairs: Table | None = None
    classes: Table | None = None
    charts: Sequence[Picture] = ()
    gallery: Gallery | None = None
    samples: Samples | None = None
    decision: Table | None = None


@dataclass(frozen=True)
class ModelPart:
    """The network: its layers as a diagram and as a table."""

    facts: Sequence[Fact]
    layers: Table
    diagram: Picture | None = None


@dataclass(frozen=True)
class RunPart:
    """All that is shown of a run. `id`: what the ids of its sections begin with; `state`: "finished", "diverged", …"""

    id: str
    name: str
    path: str
    state: str
    notices: Sequence[Notice]
    facts: Sequence[Fact]
    verdicts: Sequence[Verdict]
    unjudged: str
    curves: Sequence[Picture]
    epochs: Table | None
    data: DataPart
    evaluation: EvaluationPart | None
    model: ModelPart | None
    timings: Sequence[Fact]
    environment: Sequence[Fact]
    commands: Sequence[str]
    digests: Sequence[Fact]
    spec: Markup


class DiffLine(NamedTuple):
    """A line of a comparison of two specs. `kind`: "added", "removed", "same" or "place"."""

    kind: str
    text: str


@dataclass(frozen=True)
class SpecDiff:
    """What differs between the specs of two runs; no lines: nothing."""

    title: str
    lines: Sequence[DiffLine]


@dataclass(frozen=True)
class Comparison:
    """Several runs side by side; differences are to the first."""

    metrics: Table
    curves: Sequence[Picture]
    diffs: Sequence[SpecDiff]


@dataclass(frozen=True)
class Page:
    """The whole page."""

    title: str
    made: str
    runs: Sequence[RunPart]
    comparison: Comparison | None = None
