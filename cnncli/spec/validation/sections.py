"""The sections of a spec and their keys."""

from typing import Annotated, Literal

from cnncli.datasets.section import DataSection
from cnncli.layers.declarations.declaration import Declaration, Nested
from cnncli.layers.declarations.field_types import Integer, Maybe, String
from cnncli.layers.declarations.list_types import ListOf
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


class ModelSection(Declaration):
    """The keys of `model` besides layers and blocks."""

    input_shape: Annotated[tuple[int, ...] | None, Maybe(ListOf(Integer(1), 1, 4))] = None
    freeze: Annotated[tuple[str, ...], ListOf(String(), rule='a list of layer patterns, like ["stage1/*"]')] = ()
    """Layers that are not trained, as with `trainable: false`: patterns of their names."""
    freeze_until: Annotated[str | None, Maybe(String())] = None
    """A layer or block; the layers before it are not trained."""
    weights: Annotated[
        Pretrained | None, Maybe(Nested(Pretrained, "a run or model file, or {file: …, by: order}", "file"))
    ] = None
    """A run or model file; training starts from those of its weights that fit, by name (or order) and shape."""


SECTIONS: dict[str, type[Declaration]] = {"data": DataSection, "compile": CompileSection, "fit": FitSection}
REQUIRED = ("data", "model", "compile")
MODEL_KEYS = (*ModelSection.fields, "blocks", "layers")
TOP_KEYS = (*Head.fields, "data", "model", "compile", "fit", "expect")
KEYS_OF: dict[str, tuple[str, ...]] = {
    **{name: tuple(cls.fields) for name, cls in SECTIONS.items()},
    "model": MODEL_KEYS,
}
