"""The reference page, made from the declarations: `python -m cnncli.report.reference > docs/reference.md`."""

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from cnncli.datasets.augmentation import AUGMENTATIONS
from cnncli.datasets.section import DataSection
from cnncli.datasets.synthetic import SOURCES
from cnncli.layers.constraints import CONSTRAINTS
from cnncli.layers.declaration import REQUIRED, Declaration, Field, Registry, snake_case
from cnncli.layers.initializers import INITIALIZERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.regularizers import REGULARIZERS
from cnncli.layers.vocabulary import layers
from cnncli.training.callbacks import CALLBACKS
from cnncli.training.metrics import METRICS
from cnncli.training.optimizers import OPTIMIZERS
from cnncli.training.schedules import SCHEDULES
from cnncli.training.sections import CompileSection, FitSection

CHAPTERS: tuple[tuple[str, Registry[Any]], ...] = (
    ("Initializers", INITIALIZERS),
    ("Regularizers", REGULARIZERS),
    ("Constraints", CONSTRAINTS),
    ("Losses", LOSSES),
    ("Optimizers", OPTIMIZERS),
    ("Learning-rate schedules", SCHEDULES),
    ("Metrics", METRICS),
    ("Callbacks", CALLBACKS),
    ("Datasets with arguments", SOURCES),
    ("Augmentations", AUGMENTATIONS),
)


def page() -> str:
    """The whole page in Markdown."""
    lines = ["# Reference", "", "Made from the code by `python -m cnncli.report.reference`; do not edit.", ""]
    lines += _chapter("Layers", layers().values())
    for title, registry in CHAPTERS:
        lines += _chapter(title, registry, _told(registry.base))
    lines += ["## Sections of a spec", ""]
    for name, section in (("data", DataSection), ("compile", CompileSection), ("fit", FitSection)):
        lines += [f"### `{name}`", "", *_declaration(section)]
    return "\n".join(lines).rstrip() + "\n"


def _chapter(title: str, classes: Iterable[type[Declaration]], about: str = "") -> Iterator[str]:
    yield from (f"## {title}", "", *([about, ""] if about else []))
    for cls in classes:
        names = ", ".join(f"`{name}`" for name in (cls.__name__, snake_case(cls.__name__), *cls.aliases))
        yield from (f"### {names}" if title != "Layers" else f"### `{cls.__name__}`", "", *_declaration(cls))


def _declaration(cls: type[Declaration]) -> Iterator[str]:
    yield from (_told(cls), "")
    if not cls.fields:
        return
    yield from ("| key | default |", "|---|---|")
    for name, field in cls.fields.items():
        yield f"| `{name}` | {_default(field)} |"
    yield ""


def _told(cls: type[Declaration]) -> str:
    return " ".join((inspect.getdoc(cls) or "").split())


def _default(field: Field) -> str:
    value = field.default
    if value is REQUIRED:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, Declaration):
        return f"`{snake_case(type(value).__name__)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value)}`" if isinstance(value, tuple) else f"`{value}`"


if __name__ == "__main__":
    print(page(), end="")
