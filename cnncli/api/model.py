"""A trained model: prediction, evaluation and summary."""

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnncli.api.evaluation_data import EvaluationData
from cnncli.api.runs import Run
from cnncli.api.targets import Target, carried_spec, find_model
from cnncli.api.training import PathLike, warnings_only
from cnncli.datasets.rescale import rescale_for
from cnncli.errors import CnncliError, UsageError
from cnncli.graph.model import lower, only
from cnncli.spec.spec import Spec
from cnncli.system.memory import limit, shown
from cnncli.training.events import Notice, OnEvent, notices_to
from cnncli.training.resources.threads import settle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnncli.datasets.images.decode import Form
    from cnncli.datasets.images.inputs import Input
    from cnncli.graph.network import Network
    from cnncli.report.prediction.out_of_distribution import InputCheck
    from cnncli.report.prediction.outputs import Reader
    from cnncli.training.metrics.examination import Evaluation
    from cnncli.training.prediction import Prediction
    from cnncli.training.runs.checkpoint import ModelFile

Images = Any
"""A path, an array, an image opened with Pillow, or a sequence of these."""
MODES: Mapping[int, Literal["grayscale", "rgb"]] = {1: "grayscale", 3: "rgb"}
"""Pillow image mode by number of input channels."""


@dataclass(frozen=True)
class Predictions:
    """Predictions for N images, in order.

    `names`: file names or indices. `probabilities`: float32 (N, …), the model's outputs, with logits converted to
    probabilities; NaN for unusable images. `labels`: the most probable class of each image, or the tuple of its classes
    in multi-label models; None if outputs are not classes, and for unusable images. `problems`: error messages of
    unusable images, by name.
    """

    names: Sequence[str]
    probabilities: "NDArray[Any]"
    labels: Sequence[str | tuple[str, ...] | None]
    problems: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Summary:
    """A model layer by layer; `str` gives the table of `cnncli summary`.

    `layers`: name, type, output_shape, parameters and flops of each; `flops` are per image (forward).
    """

    layers: Sequence[Mapping[str, Any]]
    parameters: int
    trainable_parameters: int
    flops: int
    text: str

    def __str__(self) -> str:
        return self.text


class Model:
    """A trained model, returned by `load`. Kernels are compiled on the first prediction or evaluation."""

    def __init__(self, target: Target, *, threads: int | None = None) -> None:
        self.threads = settle(threads, room=True)
        from cnncli.training.runs import checkpoint

        self.target = target
        self.file: ModelFile = checkpoint.load(target.file)

    def __repr__(self) -> str:
        return f"<cnncli.Model {self.spec.name}: {self.path}>"

    @property
    def path(self) -> Path:
        """The model file."""
        return self.target.file

    @property
    def epoch(self) -> int:
        """The epoch (from 1) of the weights."""
        return self.file.about.epoch

    @cached_property
    def spec(self) -> Spec:
        """The spec it was trained with, without callbacks and expectations."""
        return carried_spec(self.file.about, training=False)

    @property
    def classes(self) -> Sequence[str]:
        """The class names; empty if there are none."""
        return self.file.about.class_names

    def weights(self) -> "dict[str, NDArray[Any]]":
        """The weights by name ("conv2d/kernel"), float32, read-only, shaped as in Keras."""
        return dict(self.file.weights)

    def summary(self) -> Summary:
        """Output shapes, parameters and FLOPs of every layer."""
        return summarize(self.spec)

    def predict(
        self,
        images: Images,
        *,
        invert: bool = False,
        on_error: Literal["raise", "skip"] = "raise",
        on_event: OnEvent = warnings_only,
    ) -> Predictions:
        """Predict the classes (or other outputs) of images, preprocessed as in training.

        images: path of an image, a folder or a .npy file; an array, uint8 or floating point, of one image
        (H, W[, C]) or several (N, H, W[, C]); an image opened with Pillow; or a list of these. invert: invert
        brightness first. on_error: whether an unusable image raises an error or is only recorded in `problems`.

        Raises CnncliError that lists every unusable image, UsageError if there are no images.
        """
        import numpy as np

        names, outputs, labels, problems = [], [], [], {}
        lost = np.full(self.output_shape, np.nan, np.float32)
        doubts = self.doubts(inverted=invert)
        with notices_to(on_event):
            for prediction in self.stream(_listed(images), invert=invert):
                doubts.look(prediction)
                names.append(prediction.image.name)
                if prediction.output is None:
                    problems[prediction.image.name] = prediction.image.problem
                outputs.append(lost if prediction.output is None else prediction.output.copy())
                labels.append(_label(self.reader, prediction))
        if problems and on_error == "raise":
            raise CnncliError(*(f"{name}: {problem}" for name, problem in problems.items()))
        if not names:
            raise UsageError("predict needs at least one image; received none")
        for warning in doubts.warnings():
            on_event(Notice(warning.replace("--invert", "invert=True"), "warning"))
        return Predictions(tuple(names), np.stack(outputs), tuple(labels), problems)

    def stream(self, inputs: "Iterable[Input]", *, invert: bool = False) -> "Iterator[Prediction]":
        """Yield predictions one image at a time, in constant memory; the arrays are valid until the next one."""
        from cnncli.datasets.images.inputs import images
        from cnncli.training.prediction import predict

        shape, first = self.spec.model.input_shape, self.spec.data.data_format == "channels_first"
        found = images(inputs, self.form, shape, invert=invert, channels_first=first)
        return predict(self.network, found, self.rescale)

    def evaluate(
        self, data: PathLike | None = None, *, offline: bool | None = None, on_event: OnEvent = warnings_only
    ) -> "Evaluation":
        """Evaluate on the test split of the model's own data, or of other `data` (a path or a dataset's name); without
        a test split, on the validation split.

        The result has `figures`, `rows()` (precision, recall, F1 per class), `confusion` (true, predicted) and
        `mistakes`. A folder or table without named splits is used as a whole. Raises CnncliError if the data do not
        match the model or can't be read.
        """
        from cnncli.datasets.batches import Feed
        from cnncli.training.metrics.examination import examine

        with notices_to(on_event):
            reading = EvaluationData(self.target, self.spec, self.classes, on_event, offline=offline)
            spec, dataset = reading.read(None if data is None else os.fspath(data))
            split = "test" if dataset.test is not None else "validation"
            rows = dataset.splits.get(split)
            if rows is None:
                raise CnncliError(f"{dataset.source}: nothing to evaluate on: no test images and no validation images")
            network = self.network
            feed = Feed(rows, self.rescale, spec.compile.loss, network.inputs, network.targets)
            return examine(network, feed, spec.compile.metrics, split, self.classes)

    @cached_property
    def network(self) -> "Network":
        """The network, with its weights. Raises CnncliError if they do not match the spec, or if batches do not fit
        in memory.
        """
        from cnncli.graph.network import Network

        spec, file = self.spec, self.file
        lowered = lower(spec.model)
        shapes = {parameter.name: parameter.weight.shape for parameter in lowered.parameters}
        found = {name: weight.shape for name, weight in file.weights.items()}
        if shapes != found:
            name = next(name for name in [*shapes, *found] if shapes.get(name) != found.get(name))
            raise CnncliError(f"{file.path}: the weights must be those of its spec; {name!a} is not")
        row = prod(spec.model.input_shape) + prod(lowered.output.shape) + 1
        needed = 4 * row * spec.fit.batch_size
        if needed > limit():
            raise CnncliError(
                f"{file.path}: batches of {spec.fit.batch_size:,} take {shown(needed)} of memory, of which this "
                f"process may use {shown(limit())}"
            )
        network = Network(spec.model, spec.compile.loss, batch_size=spec.fit.batch_size, threads=self.threads)
        network.load(file.weights)
        return network

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the outputs for one image."""
        return tuple(only(self.network.targets).shape[1:])

    @property
    def rescale(self) -> float | str:
        """What images are multiplied by, or "auto"."""
        return rescale_for(self.spec.model, self.spec.data.rescale)

    @cached_property
    def reader(self) -> "Reader":
        """Interpreter of the model's outputs."""
        from cnncli.report.prediction.outputs import reader

        spec = self.spec
        return reader(spec.model, spec.compile.loss, self.output_shape, spec.data.targets, self.classes)

    @property
    def form(self) -> "Form | None":
        """Conversion of image files: as in training, but from any size; None if the model's input is not an image."""
        from cnncli.datasets.images.decode import Form

        shape = self.spec.model.input_shape
        with_alpha = self.spec.data.alpha == "channel"
        if len(shape) != 3 or shape[2] - with_alpha not in MODES:
            return None
        height, width, channels = shape[0], shape[1], shape[2] - with_alpha
        return Form.of(self.spec.data, height, width, MODES[channels])

    def doubts(self, *, inverted: bool) -> "InputCheck":
        """Check of input images for differences from the training images."""
        from cnncli.datasets.images.brightness_stats import BrightnessStats
        from cnncli.report.prediction.out_of_distribution import InputCheck

        stats: BrightnessStats | None = None
        if "tone" in self.file.metadata:
            stats = self.file.about.value("tone", BrightnessStats)
        return InputCheck(stats, inverted=inverted)


def load(
    target: "PathLike | Run", weights: Literal["best", "last"] | None = None, *, threads: int | None = None
) -> Model:
    """Load a trained model from a run, a model file, or the newest run of a spec.

    weights: "best" or "last" of a run; default: best, if available. threads: default: the available CPUs. Raises
    UsageError if there is no model, CnncliError if the model file can't be read.
    """
    path = target.path if isinstance(target, Run) else Path(target)
    return Model(find_model(path, weights), threads=threads)


def summarize(spec: Spec) -> Summary:
    """Summary of a spec's model, layer by layer."""
    from cnncli.report.tables.summary import print_summary, summary_data

    text = io.StringIO()
    print_summary(spec, text)
    return Summary(**summary_data(spec.model), text=text.getvalue())


def _listed(images: Images) -> "list[Input]":
    """The individual inputs. Raises UsageError for unsupported types."""
    import numpy as np
    from PIL import Image

    several = isinstance(images, list | tuple)
    found: list[Input] = []
    for given in images if several else [images]:
        if isinstance(given, str | os.PathLike):
            if not Path(given).exists():
                raise UsageError(f"there is no file or folder '{os.fspath(given)}'")
            found.append(Path(given))
        elif isinstance(given, np.ndarray | Image.Image):
            found.append(given)
        else:
            raise UsageError(
                f"images must be paths, NumPy arrays or images opened with Pillow; received {type(given).__name__}"
            )
    return found


def _label(reader: "Reader", prediction: "Prediction") -> str | tuple[str, ...] | None:
    if prediction.output is None:
        return None
    document = reader.answer(prediction).document
    return tuple(document["classes"]) if "classes" in document else document.get("class")
