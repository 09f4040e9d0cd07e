"""Explanation of one prediction: which parts of the image the score of a class depends on, and what the layers see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from cnncli.graph.attribution import Attribution, class_probability, filters_of, grad_cam, occlusion, saliency
from cnncli.graph.model import INPUT, lower
from cnncli.graph.network import Network
from cnncli.training.prediction import Prediction

Array = np.ndarray[Any, Any]
Method = Literal["gradcam", "saliency", "occlusion", "maps", "filters"]


@dataclass(frozen=True)
class Explanation:
    """One image, what the model predicts, and why. Methods that were not chosen are None or empty.

    `name`: its file. `original`: uint8 (height, width[, 3]), before it is prepared for the model; `input`: float32
    (H, W, C), what the network saw; `white`: the value of white in it. `classes`: names; `probabilities`: float32
    (classes,), of masks the mean over the pixels. `cls`: the number of the explained class; `score`: the network's
    output for it before softmax or sigmoid.

    `gradcam`: by layer, float32 (H, W), from 0 to 1. `saliency`: float32 (H, W), ≥ 0. `occlusion`: float32 (H, W), by
    how much a gray patch lowers the probability. `feature_maps`: by layer, float32 (height, width, channels).
    `filters`: float32 (height, width, channels, filters), the kernel of the layer `filtered`, the first convolution.
    """

    name: str
    original: Array
    input: Array
    white: float
    classes: Sequence[str]
    probabilities: Array
    cls: int | None
    score: float | None
    gradcam: Mapping[str, Array]
    saliency: Array | None
    occlusion: Array | None
    feature_maps: Mapping[str, Array]
    filters: Array | None
    filtered: str

    @property
    def predicted(self) -> int | None:
        """The number of the most probable class; None without classes."""
        return int(self.probabilities.argmax()) if self.classes else None


class Explainer:
    """Explains predictions of a network by `methods`; Grad-CAM and maps are those of `layers`.

    `classes`: names; empty if the outputs are not classes, which allows "maps" and "filters" only.
    """

    def __init__(
        self,
        network: Network,
        classes: Sequence[str],
        methods: Sequence[Method],
        *,
        gradcam: Sequence[str] = (),
        maps: Sequence[str] = (),
    ) -> None:
        self.network, self.classes, self.methods = network, classes, methods
        self.gradcam = gradcam if "gradcam" in methods else ()
        self.maps = maps if "maps" in methods else ()

    def explain(self, prediction: Prediction, original: Array, cls: int | None = None) -> Explanation:
        """Explain the output for a usable image; of the predicted class unless `cls` is another."""
        assert prediction.fed is not None
        assert prediction.output is not None
        seen = prediction.fed.copy()
        shares = self._probabilities(prediction.output)
        if cls is None and self.classes:
            cls = int(shares.argmax())
        self.attribution.inputs[0] = seen
        found = self.attribution.run(1, cls)
        maps, gradients = (
            {name: array[0].copy() for name, array in arrays.items()} for arrays in (found.outputs, found.gradients)
        )
        height, width, _ = seen.shape
        filtered, filters = self.filters if "filters" in self.methods else ("", None)
        return Explanation(
            name=prediction.image.name,
            original=original,
            input=seen,
            white=prediction.white,
            classes=self.classes,
            probabilities=shares,
            cls=cls,
            score=None if cls is None else float(found.scores[0]),
            gradcam=MappingProxyType(
                {name: grad_cam(maps[name], gradients[name], height, width) for name in self.gradcam}
            ),
            saliency=saliency(gradients[INPUT]) if "saliency" in self.methods else None,
            occlusion=occlusion(self.network, seen, cls) if "occlusion" in self.methods and cls is not None else None,
            feature_maps=MappingProxyType({name: maps[name] for name in self.maps}),
            filters=filters,
            filtered=filtered,
        )

    @cached_property
    def attribution(self) -> Attribution:
        """The program that computes outputs of layers and gradients."""
        return Attribution(self.network, list(dict.fromkeys((INPUT, *self.gradcam, *self.maps))))

    @cached_property
    def filters(self) -> tuple[str, Array | None]:
        """The first convolution and its kernel; none if there is none."""
        named = filters_of(lower(self.network.model))
        if named is None:
            return "", None
        layer, weight, arranged = named
        return layer, arranged(self.network.tensor(weight).copy())

    def _probabilities(self, output: Array) -> Array:
        """The probability of each class, (classes,); nothing if there are none."""
        numbers = range(len(self.classes))
        return np.array([class_probability(output[np.newaxis], cls)[0] for cls in numbers], np.float32)
