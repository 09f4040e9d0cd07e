"""The sections of a spec and their keys."""

from typing import Annotated

from cnncli.datasets.section import DataSection
from cnncli.layers.declarations.declaration import Declaration
from cnncli.layers.declarations.field_types import Integer, Maybe, String
from cnncli.layers.declarations.list_types import ListOf
from cnncli.training.sections import CompileSection, FitSection


class Head(Declaration):
    """The top-level keys that are not sections."""

    name: str | None = None
    seed: Annotated[int, Integer(0, 2**63 - 1)] = 0


class ModelSection(Declaration):
    """The keys of `model` besides layers and blocks."""

    input_shape: Annotated[tuple[int, ...] | None, Maybe(ListOf(Integer(1), 1, 4))] = None
    freeze: Annotated[tuple[str, ...], ListOf(String(), rule='a list of layer patterns, like ["stage1/*"]')] = ()
    """Layers that are not trained, as with `trainable: false`: patterns of their names."""
    freeze_until: Annotated[str | None, Maybe(String())] = None
    """A layer or block; the layers before it are not trained."""
    weights: Annotated[str | None, Maybe(String())] = None
    """A run or model file; training starts from those of its weights that fit, by name and shape."""


SECTIONS: dict[str, type[Declaration]] = {"data": DataSection, "compile": CompileSection, "fit": FitSection}
REQUIRED = ("data", "model", "compile")
MODEL_KEYS = (*ModelSection.fields, "blocks", "layers")
TOP_KEYS = (*Head.fields, "data", "model", "compile", "fit", "expect")
KEYS_OF: dict[str, tuple[str, ...]] = {
    **{name: tuple(cls.fields) for name, cls in SECTIONS.items()},
    "model": MODEL_KEYS,
}
IGNORED: dict[str, tuple[str, ...]] = {name: tuple(cls.ignored) for name, cls in SECTIONS.items()}
"""Keys of Keras that are accepted though they are no fields."""
