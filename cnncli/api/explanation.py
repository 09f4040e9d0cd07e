"""Explanations of a model's predictions: what can be asked for, and the results by image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnncli.api.trained import Trained
from cnncli.errors import UsageError
from cnncli.graph.attribution import convolutions, image_layers, influential, last_image_layer
from cnncli.graph.model import lower
from cnncli.hints import few, suggestion
from cnncli.report.prediction.outputs import Numbers, Reconstruction
from cnncli.training.explanation import Explainer, Explanation, Method

if TYPE_CHECKING:
    from cnncli.datasets.images.inputs import Input

METHODS: Sequence[Method] = ("gradcam", "saliency", "occlusion", "maps", "filters")
OF_CLASSES: Sequence[Method] = ("gradcam", "saliency", "occlusion")
"""Methods that explain a class."""
OF_LAYERS: Sequence[Method] = ("gradcam", "maps", "filters")
"""Methods that need a convolution."""
MOST_NAMES = 12
"""Names that an error lists."""
LONGEST_NUMBER = 9
"""Digits of a class's number."""


class Explaining:
    """Explains what the network itself makes of images, without decisions, by chosen methods, layers and class.

    Raises UsageError if the model does not allow them.
    """

    def __init__(
        self,
        model: Trained,
        *,
        layer: str | Sequence[str] | None = None,
        cls: str | int | None = None,
        methods: Sequence[str] | None = None,
        invert: bool = False,
    ) -> None:
        self.model, self.invert = model, invert
        self.doubts = model.doubts(inverted=invert)
        lowered = lower(model.spec.model)
        layers = [layer] if isinstance(layer, str) else list(layer or ())
        chosen = self._methods(methods, layers, has_layers=bool(convolutions(lowered)))
        _check_layers(layers, image_layers(lowered), "one whose output is an image of several pixels")
        if layers and "gradcam" in chosen:
            _check_layers(layers, influential(lowered), "one that the score of the class depends on (of Grad-CAM)")
        last = last_image_layer(lowered)
        cam = layers or [name for name in [last] if name]
        maps = layers or list(dict.fromkeys([*convolutions(lowered)[:1], *cam]))
        maps = [name for name in maps if name in image_layers(lowered)]
        self.cls = None if cls is None else _number(cls, self.classes)
        self.explainer = Explainer(model.network, self.classes, chosen, gradcam=cam, maps=maps)

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes; empty if the model's outputs are not classes."""
        reader = self.model.reader()
        return () if isinstance(reader, Numbers | Reconstruction) else reader.classes

    def explain(self, image: "Input") -> Explanation:
        """Explain one image. Raises UsageError if there are several, UnusableError if it can't be used."""
        import numpy as np

        from cnncli.datasets.images.inputs import original
        from cnncli.datasets.sources.image_files import UnusableError

        found = list(self.model.stream([image], invert=self.invert, raw=True))
        if len(found) != 1:
            raise UsageError(f"explain takes one image at a time; received {len(found):,} in one array or folder")
        (prediction,) = found
        if prediction.output is None:
            raise UnusableError(f"{prediction.image.name}: {prediction.image.problem}")
        if not np.isfinite(prediction.output).all():
            raise UnusableError(f"{prediction.image.name}: the model's outputs for it are not finite numbers")
        self.doubts.look(prediction)
        return self.explainer.explain(prediction, original(image, self.model.spec.model.input_shape), self.cls)

    def _methods(self, wanted: Sequence[str] | None, layers: Sequence[str], *, has_layers: bool) -> Sequence[Method]:
        """The methods: by default, all that the network allows. Raises UsageError."""
        shape = self.model.spec.model.input_shape
        if len(shape) != 3:
            size = " × ".join(map(str, shape))
            raise UsageError(f"{self.model.path}: explain needs a model of images; its input is {size}")
        unknown = next((name for name in wanted or () if name not in METHODS), None)
        if unknown is not None:
            near = suggestion(unknown, METHODS)
            raise UsageError(f"a method must be one of {', '.join(METHODS)}; received '{unknown}'{near}")
        chosen = [name for name in METHODS if (name in wanted if wanted else has_layers or name not in OF_LAYERS)]
        of_classes = [name for name in chosen if name in OF_CLASSES]
        if of_classes and not self.classes:
            raise UsageError(
                f"{self.model.path}: the outputs are not classes, so no {', '.join(of_classes)}; the methods maps and "
                "filters need none"
            )
        of_layers = [name for name in chosen if name in OF_LAYERS]
        if (of_layers or layers) and not has_layers:
            what = ", ".join(of_layers) or "layers to choose from"
            raise UsageError(f"{self.model.path}: the model has no convolution, so no {what}")
        return chosen


def _check_layers(layers: Sequence[str], known: Sequence[str], rule: str) -> None:
    wrong = next((name for name in layers if name not in known), None)
    if wrong is not None:
        raise UsageError(
            f"layer must be {rule}: {few(known, MOST_NAMES)}; received '{wrong}'{suggestion(wrong, known)}"
        )


def _number(cls: str | int, classes: Sequence[str]) -> int:
    """The number of a class, given that or its name; a name goes first. Raises UsageError."""
    if isinstance(cls, str) and cls in classes:
        return classes.index(cls)
    if str(cls).isdecimal() and len(str(cls)) <= LONGEST_NUMBER and int(cls) < len(classes):
        return int(cls)
    if not classes:
        raise UsageError(f"the model's outputs are not classes; received class '{cls}'")
    raise UsageError(
        f"class must be a name or a number below {len(classes):,}: {few(classes, MOST_NAMES)}; received '{cls}'"
        f"{suggestion(str(cls), classes)}"
    )
