"""The sections of a spec and their keys."""

from typing import Annotated, Literal

from cnncli.datasets.section import DataSection
from cnncli.layers.declarations.declaration import Declaration, Nested
from cnncli.layers.declarations.field_types import Integer, Maybe, Number, String
from cnncli.layers.declarations.list_types import ListOf
from cnncli.training.search.section import TuneSection
from cnncli.training.sections import CompileSection, FitSection


class Head(Declaration):
    """The top-level keys that are not sections."""

    name: str | None = None
    seed: Annotated[int, Integer(0, 2**63 - 1)] = 0


class Pretrained(Declaration):
    """Weights to start from, layer by layer."""

    file: str
    """A run or model file."""
    by: Literal["name", "order"] = "name"
    """What pairs the layers of the model with those of the file: their names, or the order of those with weights."""


class UnfreezeAt(Declaration):
    """When frozen layers begin to train."""

    epoch: Annotated[int, Integer(2)]
    """The first epoch in which they train."""
    rate_factor: Annotated[float, Number(above=0)] = 1.0
    """Multiplies the learning rate of all layers from then on."""


class FineTune(Declaration):
    """Training from `weights` in two phases: first the new layers alone, then all of them (fastai's `fine_tune`)."""

    freeze_epochs: Annotated[int, Integer(1)] = 1
    """Epochs in which only the layers that were not loaded, and the last one, train."""
    rate_factor: Annotated[float, Number(above=0)] = 0.1
    """Multiplies the learning rate of all layers after these."""


class ModelSection(Declaration):
    """The keys of `model` besides layers and blocks."""

    input_shape: Annotated[tuple[int, ...] | None, Maybe(ListOf(Integer(1), 1, 4))] = None
    freeze: Annotated[tuple[str, ...], ListOf(String(), rule='a list of layer patterns, like ["stage1/*"]')] = ()
    """Layers that are not trained, as with `trainable: false`: patterns of their names, or classes."""
    freeze_until: Annotated[str | None, Maybe(String())] = None
    """A layer or block; the layers before it are not trained."""
    unfreeze_at: Annotated[
        UnfreezeAt | None, Maybe(Nested(UnfreezeAt, "an epoch ≥ 2, or {epoch: …, rate_factor: …}", "epoch"))
    ] = None
    """The epoch from which on the layers of `freeze` and `freeze_until` train, too."""
    weights: Annotated[
        Pretrained | None, Maybe(Nested(Pretrained, "a run or model file, or {file: …, by: order}", "file"))
    ] = None
    """A run or model file; training starts from those of its weights that fit, by name (or order) and shape."""
    fine_tune: Annotated[
        FineTune | None, Maybe(Nested(FineTune, "a mapping like {freeze_epochs: 1, rate_factor: 0.1}"))
    ] = None
    """Train the layers that `weights` does not have first, then all of them at a lower learning rate."""


SECTIONS: dict[str, type[Declaration]] = {
    "data": DataSection,
    "compile": CompileSection,
    "fit": FitSection,
    "tune": TuneSection,
}
REQUIRED = ("data", "model", "compile")
MODEL_KEYS = (*ModelSection.fields, "blocks", "layers")
TOP_KEYS = (*Head.fields, "data", "model", "compile", "fit", "expect", "tune")
KEYS_OF: dict[str, tuple[str, ...]] = {
    **{name: tuple(cls.fields) for name, cls in SECTIONS.items()},
    "model": MODEL_KEYS,
}
IGNORED: dict[str, tuple[str, ...]] = {name: tuple(cls.ignored) for name, cls in SECTIONS.items()}
"""Keys of Keras that are accepted though they are no fields."""
