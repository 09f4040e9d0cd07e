"""The sections of a spec and their keys: who owns which."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from cnncli.datasets.section import DataSection
from cnncli.layers.declaration import Declaration, PositiveInt
from cnncli.training.sections import CompileSection, FitSection


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Head(Declaration):
    """The keys at the top that are not sections."""

    name: str | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0


class ModelSection(Declaration):
    """What `model` holds besides layers and blocks."""

    input_shape: (
        Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=4), BeforeValidator(_tuple)] | None
    ) = None


SECTIONS: dict[str, type[Declaration]] = {"data": DataSection, "compile": CompileSection, "fit": FitSection}
REQUIRED = ("data", "model", "compile")
MODEL_KEYS = ("input_shape", "blocks", "layers")
TOP_KEYS = (*Head.model_fields, "data", "model", "compile", "fit", "expect")
KEYS_OF: dict[str, tuple[str, ...]] = {
    **{name: tuple(cls.model_fields) for name, cls in SECTIONS.items()},
    "model": MODEL_KEYS,
}
