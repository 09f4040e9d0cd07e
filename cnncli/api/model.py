"""A trained model: prediction, evaluation and summary."""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
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
from cnncli.notices import warn
from cnncli.spec.spec import Spec
from cnncli.system.memory import limit, shown
from cnncli.training.events import Notice, OnEvent, notices_to
from cnncli.training.resources.threads import settle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnncli.datasets.batches import Feed
    from cnncli.datasets.dataset import Dataset
    from cnncli.datasets.images.decode import Form
    from cnncli.datasets.images.inputs import Input
    from cnncli.graph.network import Network
    from cnncli.layers.meaning import Meaning
    from cnncli.report.prediction.out_of_distribution import InputCheck
    from cnncli.report.prediction.outputs import Reader
    from cnncli.training.decisions.decision import Decision
    from cnncli.training.explanation import Explanation, Method
    from cnncli.training.metrics.evaluation_record import Evaluation
    from cnncli.training.prediction import Prediction
    from cnncli.training.runs.checkpoint import ModelFile
    from cnncli.training.tta import View

Images = Any
"""A path, an array, an image opened with Pillow, or a sequence of these."""
MODES: Mapping[int, Literal["grayscale", "rgb"]] = {1: "grayscale", 3: "rgb"}
"""Pillow image mode by number of input channels."""


@dataclass(frozen=True)
class Predictions:
    """Predictions for N images, in order.

    `names`: file names or indices. `probabilities`: float32 (N, …), the model's outputs, with logits converted to
    probabilities; NaN for unusable images. `labels`: the most probable class of each image, or the tuple of its classes
    in multi-label models; None if outputs are not classes, and for unusable images. In a calibrated model,
    probabilities have its temperature, and labels follow its thresholds and may be "unknown". `problems`: error
    messages of unusable images, by name.
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

    `layers`: name, type, output_shape, parameters, flops, trainable_parameters, output_bytes, receptive_field ([rows,
    columns], or None where a layer's outputs have no place in the image) and inputs of each. `flops` and `output_bytes`
    are per image (forward).
    """

    layers: Sequence[Mapping[str, Any]]
    parameters: int
    trainable_parameters: int
    flops: int
    output_bytes: int
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

    def summary(self, *, expand: bool = False) -> Summary:
        """Output shapes, receptive fields, parameters, FLOPs and output memory of every layer.

        expand: list the layers of blocks in the text, too.
        """
        return summarize(self.spec, expand=expand)

    def predict(
        self,
        images: Images,
        *,
        invert: bool = False,
        raw: bool = False,
        tta: str | Sequence[str] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        on_event: OnEvent = warnings_only,
    ) -> Predictions:
        """Predict the classes (or other outputs) of images, preprocessed as in training.

        images: path of an image, a folder or a .npy file; an array, uint8 or floating point, of one image
        (H, W[, C]) or several (N, H, W[, C]); an image opened with Pillow; or a list of these. invert: invert
        brightness first. raw: ignore the decisions of `calibrate`. tta: average over these views of each image, such
        as "flip,shift". on_error: whether an unusable image raises an error or is only recorded in `problems`.

        Raises CnncliError that lists every unusable image, UsageError if there are no images.
        """
        import numpy as np

        names, outputs, labels, problems = [], [], [], {}
        lost = np.full(self.output_shape, np.nan, np.float32)
        doubts, means = self.doubts(inverted=invert), self.reader(raw=raw)
        with notices_to(on_event):
            for prediction in self.stream(_listed(images), invert=invert, raw=raw, tta=tta):
                doubts.look(prediction)
                names.append(prediction.image.name)
                if prediction.output is None:
                    problems[prediction.image.name] = prediction.image.problem
                outputs.append(lost if prediction.output is None else prediction.output.copy())
                labels.append(_label(means, prediction))
        if problems and on_error == "raise":
            raise CnncliError(*(f"{name}: {problem}" for name, problem in problems.items()))
        if not names:
            raise UsageError("predict needs at least one image; received none")
        _tell_doubts(doubts, on_event)
        return Predictions(tuple(names), np.stack(outputs), tuple(labels), problems)

    def stream(
        self,
        inputs: "Iterable[Input]",
        *,
        invert: bool = False,
        raw: bool = False,
        tta: str | Sequence[str] | None = None,
    ) -> "Iterator[Prediction]":
        """Yield predictions one image at a time, in constant memory; the arrays are valid until the next one. `raw`:
        without the decision. `tta`: averaged over these views.
        """
        from cnncli.datasets.images.inputs import images
        from cnncli.training.prediction import predict

        shape, first = self.spec.model.input_shape, self.spec.data.data_format == "channels_first"
        found = images(inputs, self.form, shape, invert=invert, channels_first=first)
        decision = None if raw else self._decision_for(tta)
        return predict(self.network_of(tta), found, self.rescale, decision)

    def explain(
        self,
        image: Any,
        *,
        layer: str | Sequence[str] | None = None,
        cls: str | int | None = None,
        methods: "Sequence[Method] | None" = None,
        invert: bool = False,
        on_event: OnEvent = warnings_only,
    ) -> "Explanation":
        """Explain the prediction for one image: Grad-CAM, saliency, occlusion, feature maps, filters.

        image: a path, an array (H, W[, C]), or an image opened with Pillow. layer: the layer of Grad-CAM and of the
        feature maps, or several; default: the last convolution, with the normalization and activation after it (and
        the maps of the first one). cls: name or number of the explained class; default: the predicted one. methods:
        of "gradcam", "saliency", "occlusion", "maps", "filters"; default: all. invert: as in `predict`.

        Raises UsageError if the model lacks what is asked for, CnncliError if the image can't be used.
        """
        from cnncli.api.explanation import Explaining
        from cnncli.datasets.sources.image_files import UnusableError

        explaining = Explaining(self, layer=layer, cls=cls, methods=methods, invert=invert)
        try:
            with notices_to(on_event):
                found = explaining.explain(_listed([image])[0])
        except UnusableError as error:
            raise CnncliError(str(error)) from None
        _tell_doubts(explaining.doubts, on_event)
        return found

    def evaluate(
        self,
        data: PathLike | None = None,
        *,
        tta: str | Sequence[str] | None = None,
        offline: bool | None = None,
        on_event: OnEvent = warnings_only,
    ) -> "Evaluation":
        """Evaluate on the test split of the model's own data, or of other `data` (a path or a dataset's name); without
        a test split, on the validation split. tta: average over these views of each image, such as "flip,shift".

        The result has `figures`, `rows()` (precision, recall, F1 per class), `confusion` (true, predicted), `mistakes`,
        `scores` and what is computed from them: `roc`, `precision_recall`, `calibration`, `top_k`. A folder or table
        without named splits is used as a whole. Raises CnncliError if the data do not match the model or can't be read.
        """
        with notices_to(on_event):
            spec, dataset = self.read(None if data is None else os.fspath(data), offline=offline, on_event=on_event)
            return self.examine(spec, dataset, tta=tta)

    def read(self, data: str | None, *, offline: bool | None, on_event: OnEvent) -> "tuple[Spec, Dataset]":
        """Load the model's own data, or other `data`, with the resulting spec. Raises CnncliError as `evaluate`."""
        return EvaluationData(self.target, self.spec, self.classes, on_event, offline=offline).read(data)

    def examine(self, spec: Spec, dataset: "Dataset", *, tta: str | Sequence[str] | None = None) -> "Evaluation":
        """Evaluate on what `read` returned. Raises CnncliError as `evaluate`."""
        from cnncli.api.calibration import compared
        from cnncli.training.metrics.examination import examine

        network = self.network_of(tta)
        split, feed = self.hold_out(spec, dataset, network)
        evaluation = examine(network, feed, spec.compile.metrics, split, self.classes)
        return compared(evaluation, self._decision_for(tta))

    def hold_out(self, spec: Spec, dataset: "Dataset", network: "Network") -> "tuple[str, Feed]":
        """The split to evaluate on, and what reads it. Raises CnncliError if there is none."""
        from cnncli.datasets.batches import Feed

        split = "test" if dataset.test is not None else "validation"
        rows = dataset.splits.get(split)
        if rows is None:
            raise CnncliError(f"{dataset.source}: nothing to evaluate on: no test images and no validation images")
        return split, Feed(rows, self.rescale, spec.compile.loss, network.inputs, network.targets)

    def _decision_for(self, tta: str | Sequence[str] | None) -> "Decision | None":
        """The decision; with a warning if it was fitted to an average over other views."""
        from cnncli.training.tta import view_names

        decision = self.decision
        if decision is not None and decision.fitted.views != view_names(tta or []):
            fitted = f"with --tta {','.join(decision.fitted.views)}" if decision.fitted.views else "without --tta"
            warn(f"the decisions of {self.path} were fitted {fitted}: calibrate with the views that you predict with")
        return decision

    @cached_property
    def network(self) -> "Network":
        """The network, with its weights. Raises CnncliError if they do not match the spec, or if batches do not fit
        in memory.
        """
        from cnncli.graph.network import Network

        return self._loaded(Network)

    def network_of(self, tta: str | Sequence[str] | None) -> "Network":
        """The network, or one that averages over views. Raises UsageError for views that do not fit the model."""
        if tta is None:
            return self.network
        from cnncli.training.tta import AveragedNetwork

        return self._loaded(partial(AveragedNetwork, self.views(tta)))

    def views(self, tta: str | Sequence[str]) -> "list[View]":
        """The views of an image with these names. Raises UsageError if they do not fit the model."""
        from cnncli.training.tta import views

        return views(tta, self.meaning, self.spec.model.input_shape, self.output_shape)

    def _loaded(self, make: "Callable[..., Network]") -> "Network":
        """A network with the weights of the file."""
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
        network = make(spec.model, spec.compile.loss, batch_size=spec.fit.batch_size, threads=self.threads)
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

    def reader(self, *, raw: bool = False) -> "Reader":
        """Interpreter of the model's outputs; `raw`: without the decision."""
        from cnncli.report.prediction.outputs import reader

        spec, decision = self.spec, None if raw else self.decision
        return reader(
            spec.model, spec.compile.loss, self.output_shape, spec.data.targets, self.classes, decision=decision
        )

    @property
    def meaning(self) -> "Meaning":
        """What the outputs mean."""
        from cnncli.report.prediction.outputs import meaning

        return meaning(self.spec.model, self.spec.compile.loss, self.output_shape, self.spec.data.targets)

    @property
    def kind(self) -> str:
        """What decisions are fitted to: "classes", "choice" (one output for two classes) or "labels"; empty if the
        outputs are something else.
        """
        from cnncli.training.decisions.decision import KINDS

        kind, shape = self.meaning.name.lower(), self.output_shape
        return kind if kind in KINDS and len(shape) == 1 and (shape[0] > 1 or kind != "classes") else ""

    @cached_property
    def decision(self) -> "Decision | None":
        """How probabilities become answers; None unless the model is calibrated. Raises CnncliError for one that is
        damaged, or of other weights.
        """
        from cnncli.api.calibration import read_decision

        return read_decision(self)

    def calibrate(
        self,
        data: PathLike | None = None,
        *,
        thresholds: str | None = None,
        unknown: str | None = None,
        costs: PathLike | None = None,
        tta: str | Sequence[str] | None = None,
        offline: bool | None = None,
        on_event: OnEvent = warnings_only,
    ) -> "Decision":
        """Fit a temperature, and what else is wanted, on the validation split of the model's own data, or on other
        `data`; `predict` and `evaluate` then obey it. `save` writes it to a model file.

        thresholds: one per class, for "precision=0.95" or "recall=0.9". unknown: answer "unknown" where less is
        certain, so that "precision=0.99" of the answers are right. costs: a CSV file with the cost of each answer, to
        choose the cheapest. tta: fit to averages over these views, for predictions with the same.

        Raises UsageError for options that contradict each other; CnncliError without validation images, and for what
        no threshold reaches.
        """
        from cnncli.api.calibration import fit_decision, wished
        from cnncli.training.decisions.decision import KEY

        wishes = wished(self, thresholds, unknown, costs)
        source = None if data is None else os.fspath(data)
        decision = fit_decision(self, source, wishes, tta=tta, offline=offline, on_event=on_event)
        self._annotate({**self.file.metadata, KEY: decision.text()})
        return decision

    def reset(self) -> None:
        """Remove the decisions of `calibrate`."""
        from cnncli.training.decisions.decision import KEY

        self._annotate({key: text for key, text in self.file.metadata.items() if key != KEY})

    def _annotate(self, metadata: Mapping[str, str]) -> None:
        """Replace the metadata, in memory."""
        self.file = replace(self.file, metadata=metadata)
        self.__dict__.pop("decision", None)

    def save(self, path: PathLike | None = None) -> Path:
        """Write the model file, by default over the one it was read from, and return its path.

        Raises UsageError if another process is training in its run, CnncliError if it can't be written.
        """
        from cnncli.training.runs import checkpoint, run_directory

        file = self.path if path is None else Path(path)
        if path is None and self.target.run is not None:
            with closing(run_directory.reopen(self.target.run)):
                checkpoint.save(file, self.file)
        else:
            checkpoint.save(file, self.file)
        return file

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


def summarize(spec: Spec, *, expand: bool = False) -> Summary:
    """Summary of a spec's model, layer by layer."""
    from cnncli.report.tables.summary import print_summary, summary_data

    text = io.StringIO()
    print_summary(spec, text, expand=expand)
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


def _tell_doubts(doubts: "InputCheck", on_event: OnEvent) -> None:
    for warning in doubts.warnings():
        on_event(Notice(warning.replace("--invert", "invert=True"), "warning"))


def _label(reader: "Reader", prediction: "Prediction") -> str | tuple[str, ...] | None:
    if prediction.output is None:
        return None
    document = reader.answer(prediction).document
    return tuple(document["classes"]) if "classes" in document else document.get("class")
