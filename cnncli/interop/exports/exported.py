"""What a format gets: a trained model, and what is done to images before it sees them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnncli.datasets.rescale import PerChannel, Rescale, scaling
from cnncli.interop.inference import Inference, inference
from cnncli.layers.meaning import Meaning
from cnncli.ops.ir import Shape
from cnncli.spec.spec import Spec
from cnncli.version import __version__

if TYPE_CHECKING:
    import numpy as np

    from cnncli.datasets.dataset import Dataset
    from cnncli.datasets.images.decode import Form
    from cnncli.training.state import State


@dataclass(frozen=True)
class ExportOptions:
    """`fold`: fold normalizations into the products before them. `nhwc`: images are channels last. `preprocessing`: the
    graph takes uint8 images, which it scales, and returns probabilities. `int8`: compute in int8.
    """

    fold: bool = True
    nhwc: bool = False
    preprocessing: bool = False
    int8: bool = False


@dataclass(frozen=True)
class Exported:
    """A trained model. `weights`: by Keras' names, float32. `meaning`: what its outputs mean.

    `rescale`: what images are multiplied by. `form`: the size and colors of image files; None if its input is not an
    image. `decision`: that of `calibrate` as text; empty without one. `slots`: the optimizer's state ("momentum/dense/
    kernel"), and `progress` how far the training is; only of checkpoints. `stem`: the name of the file,
    without its suffix. `told`: lines that a format adds for people. `dataset`: reads the data of the training.
    """

    spec: Spec
    weights: "Mapping[str, np.ndarray[Any, Any]]"
    classes: Sequence[str]
    meaning: Meaning
    rescale: Rescale
    form: "Form | None" = None
    decision: str = ""
    stem: str = "model"
    told: list[str] = field(default_factory=list)
    dataset: "Callable[[], Dataset] | None" = None
    slots: "Mapping[str, np.ndarray[Any, Any]]" = field(default_factory=dict)
    progress: "State | None" = None

    @property
    def shape(self) -> Shape:
        """The shape of an input."""
        return self.spec.model.input_shape

    def inference(self, options: ExportOptions, *, probabilities: bool = False) -> Inference:
        """Its operations; `probabilities`: also if its own outputs are logits."""
        from cnncli.interop.folding import with_normalizations_folded

        loss = self.spec.compile.loss if probabilities else None
        found = inference(self.spec.model, self.weights, loss=loss)
        return with_normalizations_folded(found) if options.fold else found

    def prepared(self, images: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Images of a dataset, uint8 or float32, as the network sees them: float32."""
        import numpy as np

        scale, offset = (np.array(own, np.float32) for own in self.scale_and_offset(images.dtype.name))
        return images.astype(np.float32) * scale + offset

    def scale_and_offset(self, dtype: str = "uint8") -> tuple[list[float], list[float]]:
        """What the channels of an image of a dtype are multiplied by, and what is then added."""
        factor, divisor = scaling(self.rescale, dtype)
        channels = self.shape[-1]
        if not isinstance(self.rescale, PerChannel):
            return [factor / divisor] * channels, [0.0] * channels
        per = self.rescale
        scales = [factor / divisor * own / root for own, root in zip(per.factor, per.deviation, strict=True)]
        return scales, [-mean / root for mean, root in zip(per.mean, per.deviation, strict=True)]

    def metadata(self) -> dict[str, str]:
        """What a program needs to use it, as texts; lists are JSON.

        An image file is decoded as `color_mode`, resized to `input_shape` (height, width, channels) and becomes
        `scale` · pixel + `offset`, with a number for each channel. `decision`: that of `calibrate`, if there is one.
        """
        scale, offset = self.scale_and_offset()
        found = {
            "name": self.spec.name,
            "producer": f"cnncli {__version__}",
            "input_shape": json.dumps(self.shape),
            "scale": json.dumps(scale),
            "offset": json.dumps(offset),
            "classes": json.dumps(list(self.classes), ensure_ascii=False),
            "outputs": self.meaning.name.lower(),
        }
        if self.form is not None:
            found |= {"color_mode": self.form.color_mode, "interpolation": self.form.interpolation}
        return found | ({"decision": self.decision} if self.decision else {})
