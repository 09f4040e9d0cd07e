"""A trained model: prediction, evaluation and summary."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnncli.api.evaluation_data import EvaluationData
from cnncli.api.predictions import Images, Predictions, listed, predictions, tell_doubts
from cnncli.api.runs import Run
from cnncli.api.summary import Summary, summarize
from cnncli.api.targets import Target, carried_spec, find_model
from cnncli.api.training import PathLike, warnings_only
from cnncli.datasets.rescale import Rescale, image_scale
from cnncli.errors import CnncliError
from cnncli.graph.model import lower
from cnncli.spec.spec import Spec
from cnncli.training.events import OnEvent, notices_to
from cnncli.training.policy import POLICIES
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

Dtype = Literal["float32", "bf16"]
MODES: Mapping[int, Literal["grayscale", "rgb"]] = {1: "grayscale", 3: "rgb"}
"""Pillow image mode by number of input channels."""


class Model:
    """A trained model, returned by `load`. Kernels are compiled on the first prediction or evaluation."""

    def __init__(self, target: Target, *, threads: int | None = None, dtype: Dtype | None = None) -> None:
        self.threads, self.dtype = settle(threads, room=True), dtype
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
        spec = carried_spec(self.file.about, training=False)
        if self.dtype is None:
            return spec
        return replace(spec, compile=spec.compile.replace(dtype_policy=POLICIES[self.dtype]))

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
        return predictions(self, images, invert=invert, raw=raw, tta=tta, on_error=on_error, on_event=on_event)

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
        from cnncli.api.calibration import decision_for
        from cnncli.datasets.images.inputs import images
        from cnncli.training.prediction import predict

        shape, first = self.spec.model.input_shape, self.spec.data.data_format == "channels_first"
        found = images(inputs, self.form, shape, invert=invert, channels_first=first)
        decision = None if raw else decision_for(self, tta)
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
                found = explaining.explain(listed([image])[0])
        except UnusableError as error:
            raise CnncliError(str(error)) from None
        tell_doubts(explaining.doubts, on_event)
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
        from cnncli.api.evaluation import examine

        return examine(self, spec, dataset, tta)

    def hold_out(self, dataset: "Dataset", network: "Network") -> "tuple[str, Feed]":
        """The split to evaluate on, and what reads it. Raises CnncliError if there is none."""
        from cnncli.api.evaluation import hold_out

        return hold_out(self, dataset, network)

    @cached_property
    def network(self) -> "Network":
        """The network, with its weights. Raises CnncliError if they do not match the spec, or if batches do not fit
        in memory.
        """
        from cnncli.api.networks import network

        return network(self.file, self.spec, self.threads)

    def network_of(self, tta: str | Sequence[str] | None) -> "Network":
        """The network, or one that averages over views. Raises UsageError for views that do not fit the model."""
        if tta is None:
            return self.network
        from cnncli.api.networks import network

        return network(self.file, self.spec, self.threads, self.views(tta))

    def views(self, tta: str | Sequence[str]) -> "list[View]":
        """The views of an image with these names. Raises UsageError if they do not fit the model."""
        from cnncli.training.tta import views

        return views(tta, self.meaning, self.spec.model.input_shape, self.output_shape)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the outputs for one image."""
        return lower(self.spec.model).output.shape

    @property
    def rescale(self) -> Rescale:
        """What images are multiplied by, "auto", or something for each channel."""
        return image_scale(self.spec.model, self.spec.data)

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

        Raises UsageError if another process is training in its run, CnncliError if it can't be written, or if the
        file that would be replaced has other weights by now.
        """
        from cnncli.training.runs import checkpoint, run_directory

        file = self.path if path is None else Path(path)
        run = self.target.run if path is None else None
        with nullcontext() if run is None else closing(run_directory.reopen(run)):
            if path is None:
                self._refuse_changed()
            checkpoint.save(file, self.file)
        return file

    def _refuse_changed(self) -> None:
        """Raise CnncliError if the model file has been given other weights, by a training, since it was read."""
        from cnncli.training.runs import model_file

        if self.path.exists() and model_file.about(self.path).texts.get("digest") != self.file.digest:
            raise CnncliError(f"{self.path}: has other weights than when it was read: nothing was written; try again")

    @property
    def form(self) -> "Form | None":
        """Conversion of image files: as in training, but from any size; None if the model's input is not an image."""
        from cnncli.datasets.images.decode import ALL, AllChannels, Form

        shape = self.spec.model.input_shape
        if len(shape) == 3 and self.spec.data.color_mode == ALL:
            return AllChannels.like(self.spec.data, shape)
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
    target: "PathLike | Run",
    weights: Literal["best", "last"] | None = None,
    *,
    threads: int | None = None,
    dtype: Dtype | None = None,
) -> Model:
    """Load a trained model from a run, a model file, or the newest run of a spec.

    weights: "best" or "last" of a run; default: best, if available. threads: default: the available CPUs. dtype: how
    activations are stored, "float32" or "bf16"; default: as in training. Raises UsageError if there is no model,
    CnncliError if the model file can't be read.
    """
    path = target.path if isinstance(target, Run) else Path(target)
    return Model(find_model(path, weights), threads=threads, dtype=dtype)
