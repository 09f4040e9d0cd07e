"""How good a model is, on its own data or on others."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from cnncli.api.data import decoding, obtain, refuse_moved, skipped
from cnncli.datasets.describe import describe, find
from cnncli.datasets.section import FOLDER_KEYS, DataSection
from cnncli.datasets.sources.find import names_splits
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError
from cnncli.graph.model import lower
from cnncli.spec.spec import Spec
from cnncli.training.events import OnEvent
from cnncli.training.runs.past_runs import data_digest

if TYPE_CHECKING:
    from cnncli.api.model import Model
    from cnncli.datasets.dataset import Dataset
    from cnncli.training.metrics.examination import Evaluation

DIVIDING = ("validation_split", "stratified", "folds", "fold")
"""What of the model's `data` does not count for other data."""


def evaluate(model: "Model", data: str | None, on_event: OnEvent, *, offline: bool) -> "Evaluation":
    """Evaluate on the test split, or without one on the validation split, of the model's own data or of others.

    Raises CnncliError where there is neither, or the data do not fit the model.
    """
    from cnncli.datasets.batches import Feed
    from cnncli.training.metrics.examination import examine

    reading = _Reading(model, on_event, offline)
    spec, dataset = reading.own() if data is None else reading.other(data)
    for notice in skipped(dataset):
        on_event(notice)
    _check_classes(dataset.source, dataset.classes, model.classes)
    split = "test" if dataset.test is not None else "validation"
    rows = dataset.splits.get(split)
    if rows is None:
        raise CnncliError(f"{dataset.source}: nothing to evaluate on: no test images and no validation images")
    network = model.network
    feed = Feed(rows, model.rescale, spec.compile.loss, network.inputs, network.targets)
    return examine(network, feed, spec.compile.metrics, split, model.classes)


class _Reading:
    """Reads data for a model."""

    def __init__(self, model: "Model", on_event: OnEvent, offline: bool) -> None:
        self.model, self.on_event, self.offline = model, on_event, offline

    def own(self) -> "tuple[Spec, Dataset]":
        """The spec in a model file, and the data that it was trained on."""
        spec, target = self.model.spec, self.model.target
        refuse_moved(spec.data, f"cnncli evaluate {quote(str(target.run or target.file))}")
        return spec, self.read(spec)

    def other(self, data: str) -> "tuple[Spec, Dataset]":
        """The spec with other data, and these. All images of a folder or a table that names no splits are test images;
        but where they are those that the run was trained on, they are divided as they were then.
        """
        spec, run = self.model.spec, self.model.target.run
        shape = spec.model.input_shape
        section = _section(spec, data)
        found = describe(section, Path.cwd(), shape)
        if found.input_shape != shape:
            raise CnncliError(f"{data}: images must have the model's shape {shape}; received {found.input_shape}")
        if section.targets == "labels":
            _check_classes(data, found.names, self.model.classes)
        other = replace(spec, data=section.replace(dataset=found.source))
        dataset = self.read(other)
        if run and dataset.digest == data_digest(run):
            own = replace(spec, data=spec.data.replace(dataset=found.source))
            return own, self.read(own)
        if isinstance(found.source, str) and not names_splits(find(found.source, Path())):
            dataset = replace(dataset, train=None, test=dataset.train)
        return other, dataset

    def read(self, spec: Spec) -> "Dataset":
        """The data of a spec, downloaded where they have to be."""
        from cnncli.datasets.load import load

        obtain(spec.data, self.on_event, offline=self.offline)
        outputs = lower(spec.model).output.shape[-1]
        told, shape = decoding(self.on_event), spec.model.input_shape
        return load(spec.data, Path(), seed=spec.seed, told=told, input_shape=shape, outputs=outputs)


def _check_classes(source: str, classes: Sequence[str], names: Sequence[str]) -> None:
    """Raise CnncliError for classes that have names, and others than those that the model was trained on."""
    named = any(name != str(number) for number, name in enumerate(classes))
    if named and list(map(composed, names)) != list(map(composed, classes)):
        raise CnncliError(
            f"{source}: the classes must be those that the model was trained on, {', '.join(names)}; "
            f"received {', '.join(classes)}"
        )


def _section(spec: Spec, data: str) -> DataSection:
    """The model's `data` section for other data, all of which are taken; images of a folder are made the model's."""
    plain, shape = spec.data.plain(), list(spec.model.input_shape)
    known = {key: value for key, value in plain.items() if key not in (*FOLDER_KEYS, *DIVIDING)}
    if Path(data).is_dir() and len(shape) == 3 and find(data, Path.cwd()).kind == "folder":
        known |= {key: plain[key] for key in FOLDER_KEYS if key != "test_split" and key in plain}
        known |= {"image_size": shape[:2], "color_mode": "grayscale" if shape[2] == 1 else "rgb"}
    return DataSection(**{**known, "dataset": data})
