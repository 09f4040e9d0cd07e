"""What was trained on."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnncli.datasets.section import DataSection
from cnncli.report.html.page import Cell, Column, DataPart, Fact, Table, Thumbnail
from cnncli.report.html.trained import Trained
from cnncli.spec.spec import Spec

if TYPE_CHECKING:
    from cnncli.datasets.dataset import Dataset, Split
    from cnncli.report.html.thumbnails import Room

SPLITS = {"train": "training", "validation": "validation", "test": "test"}
SHOWN = 12
"""Training images."""
TARGETS = {
    "labels": "class labels",
    "input": "the input itself",
    "masks": "masks: a class for each pixel",
    "values": "values: numbers",
}


def data_part(run: Trained, room: "Room") -> DataPart:
    """The data of a run: what its files say, and what the data themselves show if they could be read."""
    sizes = run.dataset.sizes if run.dataset else run.sizes
    facts = list(_facts(run, sizes))
    augment = list(map(_declared, run.spec.data.augment)) if run.spec else []
    if run.dataset is None:
        return DataPart(facts, _sizes(sizes), augment)
    numbers = run.spec is not None and run.spec.data.targets == "values"
    counts = (None if numbers else _counts(run.dataset, room.rows)) or _sizes(sizes)
    return DataPart(facts, counts, augment, list(_training_images(run.dataset, room)))


def _facts(run: Trained, sizes: Mapping[str, int]) -> Iterator[Fact]:
    if run.spec is None:
        return
    spec, section = run.spec, run.spec.data
    yield Fact("dataset", _source(section), code=True)
    yield Fact("target", TARGETS[section.targets])
    from cnncli.datasets.channels import drawn_note

    yield Fact("image size", " × ".join(map(str, spec.model.input_shape)))
    if note := drawn_note(spec.model.input_shape[-1]):
        yield Fact("pictures", note)
    if run.dataset and run.dataset.classes and section.targets == "values":
        yield Fact("values", ", ".join(run.dataset.classes))
    elif run.dataset and run.dataset.classes:
        yield Fact("classes", f"{len(run.dataset.classes):,}")
    yield Fact("images", ", ".join(f"{sizes[name]:,} {SPLITS[name]}" for name in SPLITS if name in sizes))
    if section.folds:
        yield Fact("fold", f"{section.fold} of {section.folds}")
    yield Fact(
        "rescale", ", ".join(map(str, section.rescale)) if isinstance(section.rescale, tuple) else str(section.rescale)
    )
    if section.normalize is not None:
        yield Fact("normalize", "each channel, by a mean and a variance")
    yield from _fit(spec)


def _fit(spec: Spec) -> Iterator[Fact]:
    yield Fact("optimizer", _declared(spec.compile.optimizer), code=True)
    yield Fact("loss", " + ".join(map(_declared, spec.compile.loss.parts)), code=True)
    callbacks = ", ".join(_declared(callback) for callback in spec.fit.callbacks)
    yield Fact("epochs", f"at most {spec.fit.epochs:,}, in batches of {spec.fit.batch_size:,}")
    if callbacks:
        yield Fact("callbacks", callbacks, code=True)
    yield Fact("random seed", str(spec.seed))


def _source(section: DataSection) -> str:
    return section.dataset if isinstance(section.dataset, str) else _declared(section.dataset)


def _declared(declaration: Any) -> str:
    """`SGD(learning_rate=0.01, momentum=0.9)`: what differs from the defaults."""
    plain = declaration.plain()
    given = declaration.settings()
    changed = {name: plain[name] for name, field in declaration.fields.items() if given[name] != field.default}
    arguments = ", ".join(f"{name}={value}" for name, value in changed.items())
    return f"{type(declaration).__name__}({arguments})"


def _sizes(sizes: Mapping[str, int]) -> Table | None:
    if not sizes:
        return None
    rows = [[Cell(SPLITS.get(name, name)), Cell(f"{count:,}")] for name, count in sizes.items()]
    return Table("Images by split", [Column("split", numeric=False), Column("images")], rows)


def _counts(dataset: "Dataset", most: int) -> Table | None:
    """Images by class and split; pixels, if targets are masks. None without classes."""
    names, counts = (
        dataset.classes,
        {name: _of_split(split, len(dataset.classes)) for name, split in dataset.splits.items()},
    )
    known = {name: found for name, found in counts.items() if found is not None}
    if not known or not names:
        return None
    pixels = any(split.y is not None and split.y.ndim == 3 for split in dataset.splits.values())
    rows = [
        [Cell(name), *(Cell(f"{found[number]:,}") for found in known.values())]
        for number, name in enumerate(names[:most])
    ]
    total = [Cell("all"), *(Cell(f"{sum(found):,}") for found in known.values())]
    columns = [Column("class", numeric=False), *(Column(SPLITS[name]) for name in known)]
    which = f"; the first {most:,} of {len(names):,} classes" if len(names) > most else ""
    return Table(f"{'Pixels' if pixels else 'Images'} by class and split{which}", columns, rows, [total], sortable=True)


def _of_split(split: "Split", classes: int) -> list[int] | None:
    import numpy as np

    if split.y is None:
        return None
    y = split.y[split.numbers]
    if y.dtype.kind in "iu":
        counted: list[int] = np.bincount(y.ravel(), minlength=classes)[:classes].tolist()
        return counted
    if y.ndim == 2 and y.shape[1] == classes:
        return [int(count) for count in (y > 0.5).sum(0)]
    return None


def _training_images(dataset: "Dataset", room: "Room") -> Iterator[Thumbnail]:
    """The first training image of each class, or the first of all."""
    import numpy as np

    from cnncli.datasets.class_numbers import class_name
    from cnncli.report.html.thumbnails import as_image, bounds, shown_size

    split = dataset.train
    if split is None:
        return
    numbers = split.numbers
    labelled = split.y is not None and split.y.ndim == 1
    if labelled:
        assert split.y is not None
        _, firsts = np.unique(split.y[numbers], return_index=True)
        numbers = numbers[firsts]
    chosen: Sequence[int] = numbers[:SHOWN].tolist()
    low, high = bounds([split.x[row] for row in chosen])
    for row in chosen:
        image = as_image(split.x[row], low, high)
        uri = room.uri(image)
        if not uri:
            return
        name = class_name(int(split.y[row]), dataset.classes) if labelled and split.y is not None else ""
        yield Thumbnail(
            uri, f"training image{f' of {name}' if name else ''}", [name] if name else [], *shown_size(image)
        )
