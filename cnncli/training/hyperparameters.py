"""What may differ between two trainings, as plain values by the dotted keys of a spec."""

from collections.abc import Iterator, Mapping
from typing import Any

from cnncli.layers.declarations.declaration import Declaration

Value = float | str | bool
ALWAYS = ("epochs", "batch_size", "learning_rate")
"""Fields that are listed even where they have their defaults."""
LEFT_OUT = ("name", "log", "metrics")
"""Fields that do not change the weights."""


def hyperparameters(sections: Mapping[str, Declaration]) -> dict[str, Value]:
    """The fields of the sections that are not as by default: {"fit.epochs": 5, "compile.optimizer": "Adam", …}.

    A declaration is listed by its class, with its own fields below it; a list as one string.
    """
    return {name: value for path, section in sections.items() for name, value in _of(section, path)}


def _of(declared: Declaration, path: str) -> Iterator[tuple[str, Value]]:
    for name, field in declared.fields.items():
        value = getattr(declared, name)
        if name in LEFT_OUT or value is None or (value == field.default and name not in ALWAYS):
            continue
        yield f"{path}.{name}", _plain(value)
        if isinstance(value, Declaration):
            yield from _of(value, f"{path}.{name}")


def _plain(value: Any) -> Value:
    if isinstance(value, Declaration):
        return type(value).__name__
    if isinstance(value, tuple):
        return ", ".join(str(_plain(item)) for item in value)
    return value if isinstance(value, bool | int | float | str) else str(value)
