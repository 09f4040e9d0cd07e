"""The data on which a model is evaluated: its own or other data."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from cnncli.api.data import decoding, obtain, refuse_moved, skipped, without_class
from cnncli.api.targets import Target
from cnncli.datasets.describe import EMBEDDED, Description, describe, find
from cnncli.datasets.layouts.table_text import ENDINGS as TABLES
from cnncli.datasets.section import FOLDER_KEYS, DataSection
from cnncli.datasets.sources.synthetic import Synthetic
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError
from cnncli.graph.model import lower
from cnncli.spec.spec import Spec
from cnncli.training.events import Notice, OnEvent
from cnncli.training.runs.past_runs import data_digest

if TYPE_CHECKING:
    from cnncli.datasets.dataset import Dataset, Split

DIVIDING = ("validation_split", "stratified", "folds", "fold", "data_format")
OWN = ("test_split", "layout", "group_by")
"""Keys of the model's `data` section that do not apply to other data, of arrays and of folders."""


GREY, WITH_ALPHA = (1, 2), (2, 4)
"""Channels of images in grey, and of images with alpha."""


class EvaluationData:
    """Reads data for the model in `target`, with its spec and class names.

    Raises CnncliError if the data can't be read or do not match the model.
    """

    def __init__(
        self,
        target: Target,
        spec: Spec,
        classes: Sequence[str],
        on_event: OnEvent,
        *,
        offline: bool | None,
        command: str = "evaluate",
    ) -> None:
        self.target, self.spec, self.classes, self.on_event, self.offline = target, spec, classes, on_event, offline
        self.command = command

    def read(self, data: str | None) -> "tuple[Spec, Dataset]":
        """Load other `data`, or by default the model's own; return them with the resulting spec."""
        spec, dataset = self._own() if data is None else self._other(data)
        _check_classes(dataset.source, dataset.classes, self.classes, spec.data.targets)
        if not self.classes:
            self._check_count(spec, dataset)
        if data is not None and spec.data.targets == "labels":
            dataset = _by_name(dataset, self.classes)
        lacking = self._without_class(dataset, own=data is None) if spec.data.targets == "labels" else ()
        for notice in (*skipped(dataset), *lacking):
            self.on_event(notice)
        return spec, dataset

    def _check_count(self, spec: Spec, dataset: "Dataset") -> None:
        """Raise CnncliError for more classes than an imported model without names has: the first class is output 0."""
        outputs = lower(spec.model).output.shape[-1]
        if spec.data.targets == "labels" and len(dataset.classes) > max(2, outputs):
            raise CnncliError(f"{dataset.source}: the model has {outputs} classes; received {len(dataset.classes)}")

    def _without_class(self, dataset: "Dataset", *, own: bool) -> "Iterator[Notice]":
        """Warnings about classes that the split lacks: of those that are trained on, or else of the model's."""
        order = ("test", "validation") if self.command == "evaluate" else ("validation", "test")
        split = next((name for name in order if name in dataset.splits), "")
        asked = {name: part for name, part in dataset.splits.items() if name == split or (own and name == "train")}
        return without_class(asked, self.classes, self.classes)

    def _own(self) -> "tuple[Spec, Dataset]":
        refuse_moved(self.spec.data, f"cnncli {self.command} {quote(str(self.target.run or self.target.file))}")
        return self.spec, self._load(self.spec)

    def _other(self, data: str) -> "tuple[Spec, Dataset]":
        """All images of a folder or table without named splits are test images; data that the run was trained on are
        split as in training.
        """
        spec, run = self.spec, self.target.run
        shape = spec.model.input_shape
        section, found = self._described(_section(spec, data))
        if found.input_shape != shape:
            raise CnncliError(f"{data}: images must have the model's shape {shape}; received {found.input_shape}")
        if section.targets == "labels":
            _check_classes(data, found.names, self.classes)
        other = replace(spec, data=section.replace(dataset=found.source))
        dataset = self._load(other, evaluated=True)
        if run and dataset.digest == data_digest(run):
            own = replace(spec, data=spec.data.replace(dataset=found.source, data_format=section.data_format))
            return own, self._load(own)
        named = not isinstance(found.source, str) or find(section.replace(dataset=found.source), Path()).names_splits
        if not named and list(dataset.splits) == ["train"]:
            dataset = replace(dataset, train=None, test=dataset.train)
        return other, dataset

    def _described(self, section: DataSection) -> tuple[DataSection, Description]:
        """Other data, of arrays in the format that has the model's shape."""
        shape = self.spec.model.input_shape
        if isinstance(section.dataset, Synthetic):
            return section, describe(section, Path.cwd(), shape, evaluated=True)
        found = find(section, Path.cwd())
        formats = (
            ("channels_first", "channels_last")
            if found.kind in ("npz", "npy", "h5") and found.name not in EMBEDDED
            else ()
        )
        for data_format in formats:
            given = section.replace(data_format=data_format)
            described = describe(given, Path.cwd(), shape, evaluated=True)
            if described.input_shape == shape:
                return given, described
        return section, describe(section, Path.cwd(), shape, evaluated=True)

    def _load(self, spec: Spec, *, evaluated: bool = False) -> "Dataset":
        """The data of a spec, downloaded if necessary."""
        from cnncli.datasets.load import load

        obtain(spec.data, self.on_event, offline=self.offline)
        return load(
            *(spec.data, Path()),
            seed=spec.seed,
            progress=decoding(self.on_event),
            input_shape=spec.model.input_shape,
            outputs=lower(spec.model).output.shape[-1],
            void=spec.compile.loss.void,
            evaluated=evaluated,
        )


def _check_classes(source: str, classes: Sequence[str], names: Sequence[str], targets: str = "labels") -> None:
    """Raise CnncliError if the data have classes that the model has not, or other values. A model without names, as an
    imported one may be, has those of the data.
    """
    if not names:
        return
    known, given = list(map(composed, names)), list(map(composed, classes))
    named = any(name != str(number) for number, name in enumerate(classes))
    if named and given != known and (targets == "values" or not set(given) <= set(known)):
        what = "values" if targets == "values" else "classes"
        raise CnncliError(
            f"{source}: the {what} must be those that the model was trained on, {', '.join(names)}; "
            f"received {', '.join(classes)}"
        )


def _by_name(dataset: "Dataset", names: Sequence[str]) -> "Dataset":
    """The dataset with the class numbers of the model, whose classes are called `names`; arrays have numbers already.

    Raises CnncliError for labels of several classes that do not tell all of the model's.
    """
    import numpy as np

    known = {composed(name): number for number, name in enumerate(names)}
    numbers = [known.get(composed(name), -1) for name in dataset.classes]
    listed = any(split.files for split in dataset.splits.values())
    counted = not listed and dataset.classes == tuple(map(str, range(len(numbers))))
    if -1 in numbers or counted or numbers == list(range(len(names))):
        return dataset

    def renumbered(split: "Split") -> "Split":
        if split.y is None or split.y.ndim == 1:
            return replace(split, y=None if split.y is None else np.array(numbers)[split.y])
        if len(numbers) < len(names):
            raise CnncliError(
                f"{dataset.source}: labels of several classes must tell all of the model's, {', '.join(names)}; "
                f"received {', '.join(dataset.classes)}"
            )
        return replace(split, y=np.ascontiguousarray(split.y[:, np.argsort(numbers)]))

    train, validation, test = (
        None if split is None else renumbered(split) for split in (dataset.train, dataset.validation, dataset.test)
    )
    return replace(dataset, classes=tuple(names), train=train, validation=validation, test=test)


def _has_class_folders(data: str) -> bool:
    """Whether a folder has folders or a table of several classes, so that they need not be read from names."""
    try:
        return len(find(DataSection(dataset=data), Path.cwd()).listing().classes) > 1
    except CnncliError:
        return False


def _section(spec: Spec, data: str) -> DataSection:
    """The model's `data` section for other data, without splitting; image files are converted to its input."""
    plain, shape = spec.data.plain(), list(spec.model.input_shape)
    known = {key: value for key, value in plain.items() if key not in (*FOLDER_KEYS, *DIVIDING)}
    if Path(data).suffix.lower() != ".csv" and spec.data.targets != "values":
        known.pop("label_column", None)
    asked = DataSection(dataset=data, columns=spec.data.columns)
    found = find(asked, Path.cwd()) if Path(data).exists() and len(shape) == 3 else None
    if found is not None and found.kind == "folder":
        known |= {key: plain[key] for key in FOLDER_KEYS if key not in OWN and key in plain}
        if _has_class_folders(data):
            known.pop("label_from", None)
        if not any(path.suffix in TABLES for path in (Path(data), *Path(data).glob("*"))):
            known.pop("columns", None)
        known["crop_boxes"] = bool(found.boxes) and plain["crop_boxes"]
        known |= {"image_size": shape[:2]}
        if spec.data.color_mode != "all":
            known |= {"color_mode": "grayscale" if shape[2] in GREY else "rgb"}
            known |= {"alpha": "channel"} if shape[2] in WITH_ALPHA else {}
    return DataSection(**{**known, "dataset": data})
