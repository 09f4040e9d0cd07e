"""Opening and checking specs, given as a file, plain data or a Spec, with changes."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from cnncli.datasets.describe import find
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.synthetic import SOURCES
from cnncli.errors import Diagnostic, SpecError, UsageError
from cnncli.spec.spec import Spec, load, parse

Source = str | os.PathLike[str] | Mapping[str, Any] | Spec
Changes = Mapping[str, Any] | Iterable[str] | None
"""By dotted key, {"fit.epochs": 3}, or by section, {"fit": {"epochs": 3}}; or texts as `--set` takes them."""
SECTIONS = ("data", "compile", "fit", "expect")
"""What may be given as a mapping of its keys."""


def open_spec(source: Source, changes: Changes = None, *, check_data: bool = True) -> Spec:
    """Open a YAML file, plain data (a dict with the structure of the YAML) or a Spec, with changes applied.

    Relative paths in plain data are relative to the working directory. Raises SpecError with every problem, UsageError
    if the file does not exist.
    """
    overrides = settings(changes)
    if isinstance(source, Spec):
        if not overrides:
            return source
        base = source.path.parent if source.path else Path()
        return parse(
            _text(source.resolved(), indent=2), f"the spec '{source.name}'", overrides, base=base, check_data=check_data
        )
    if isinstance(source, Mapping):
        return parse(_text(source, indent=2), "spec", overrides, base=Path(), check_data=check_data)
    return load(Path(source), overrides, check_data=check_data)


def check(spec: Source, changes: Changes = None) -> list[Diagnostic]:
    """Check a spec and return every problem and warning with its location; an empty list if there are none.

    `spec` and `changes` are as in `train`. Raises UsageError if the file does not exist.
    """
    try:
        return list(open_spec(spec, changes).warnings)
    except SpecError as error:
        return list(error.diagnostics)


def settings(changes: Changes) -> list[str]:
    """Changes in the syntax of `--set`: KEY=VALUE, each value as JSON (which is valid YAML)."""
    if changes is None:
        return []
    if not isinstance(changes, Mapping):
        return list(changes)
    flat: dict[str, Any] = {}
    for key, value in changes.items():
        within = value if key in SECTIONS and isinstance(value, Mapping) else None
        flat |= {key: value} if within is None else {f"{key}.{name}": each for name, each in within.items()}
    return [f"{key}={value if key.startswith('expect.') else _text(value)}" for key, value in flat.items()]


def data_settings(data: str | os.PathLike[str] | None) -> list[str]:
    """The change that selects other data, relative to the working directory; none without `data`.

    Raises DeclarationError where there are none.
    """
    if data is None:
        return []
    text = os.fspath(data)
    name = text if SOURCES.find(text) else find(DataSection(dataset=text), Path.cwd()).name
    return [f"data.dataset={json.dumps(name)}"]


def _text(value: object, *, indent: int | None = None) -> str:
    """Plain data as JSON. Raises UsageError for what YAML could not say."""
    try:
        return json.dumps(value, indent=indent, default=_plain, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"a spec must be plain data, as YAML has it: {error}") from None


def _plain(value: object) -> object:
    """Convert values that JSON does not support: paths to strings, NumPy numbers and arrays to Python objects."""
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"received {type(value).__name__}")
