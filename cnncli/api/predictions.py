"""Predictions of a model for images: what may be given, and what is returned."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnncli.api.trained import Trained
from cnncli.errors import CnncliError, UsageError
from cnncli.training.events import Notice, OnEvent, notices_to

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnncli.datasets.images.inputs import Input
    from cnncli.report.prediction.out_of_distribution import InputCheck
    from cnncli.report.prediction.outputs import Reader
    from cnncli.training.prediction import Prediction

Images = Any
"""A path, an array, an image opened with Pillow, or a sequence of these."""


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


def predictions(
    model: Trained,
    images: Images,
    *,
    invert: bool,
    raw: bool,
    tta: str | Sequence[str] | None,
    on_error: Literal["raise", "skip"],
    on_event: OnEvent,
) -> Predictions:
    """What `Model.predict` returns and raises."""
    import numpy as np

    names, outputs, labels, problems = [], [], [], {}
    lost = np.full(model.output_shape, np.nan, np.float32)
    doubts, means = model.doubts(inverted=invert), model.reader(raw=raw)
    with notices_to(on_event):
        for prediction in model.stream(listed(images), invert=invert, raw=raw, tta=tta):
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
    tell_doubts(doubts, on_event)
    return Predictions(tuple(names), np.stack(outputs), tuple(labels), problems)


def listed(images: Images) -> "list[Input]":
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


def tell_doubts(doubts: "InputCheck", on_event: OnEvent) -> None:
    """Report what is odd about the images, as warnings."""
    for warning in doubts.warnings():
        on_event(Notice(warning.replace("--invert", "invert=True"), "warning"))


def _label(reader: "Reader", prediction: "Prediction") -> str | tuple[str, ...] | None:
    if prediction.output is None:
        return None
    document = reader.answer(prediction).document
    return tuple(document["classes"]) if "classes" in document else document.get("class")
