"""The spec: everything one YAML file says, validated."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnncli.datasets.section import DataSection
from cnncli.errors import SpecError, UsageError
from cnncli.graph.model import Model
from cnncli.spec import resolve
from cnncli.spec.declare import is_plain_name
from cnncli.spec.problems import Problems, suggestion
from cnncli.spec.reader import LARGEST_FILE, read
from cnncli.spec.tree import Place
from cnncli.spec.validate import validate
from cnncli.training.expectations import Expectation
from cnncli.training.sections import CompileSection, FitSection


@dataclass(frozen=True)
class Spec:
    """A validated spec. `path` is the file it was read from; it does not count when specs are compared."""

    name: str
    seed: int
    path: Path | None = field(compare=False)
    data: DataSection
    model: Model
    compile: CompileSection
    fit: FitSection
    expect: tuple[Expectation, ...]

    def resolved(self) -> dict[str, Any]:
        """Plain data that says everything: blocks written out, defaults filled in, names, inputs and paths explicit."""
        return {
            "name": self.name,
            "seed": self.seed,
            "data": self.data.plain(),
            "model": {
                "input_shape": list(self.model.input_shape),
                "layers": [
                    {type(node.layer).__name__: {"name": node.name, "inputs": list(node.inputs), **node.layer.plain()}}
                    for node in self.model.nodes
                ],
            },
            "compile": self.compile.plain(),
            "fit": self.fit.plain(),
            "expect": {expectation.figure: expectation.condition for expectation in self.expect},
        }

    def to_yaml(self) -> str:
        """The resolved spec as YAML; parsing it gives an equal spec."""
        return resolve.to_yaml(self.resolved())


def load(path: str | Path, overrides: Iterable[str] = (), *, check_data: bool = True) -> Spec:
    """Read a spec file. Raises SpecError with all its problems, UsageError where there is no such file."""
    path = Path(path)
    return _parse(_text(path), str(path), overrides, path.parent, path=path, check_data=check_data)


def parse(text: str, filename: str, overrides: Iterable[str] = (), *, check_data: bool = True) -> Spec:
    """Read a spec from its text. Paths in it are relative to the folder of `filename`. Raises SpecError.

    Without `check_data` the dataset is not looked at (it need not be there), if the spec says the input's shape.
    """
    return _parse(text, filename, overrides, Path(filename).parent, path=None, check_data=check_data)


def _parse(
    text: str, filename: str, overrides: Iterable[str], base: Path, *, path: Path | None, check_data: bool
) -> Spec:
    text = text.removeprefix("\ufeff")
    problems = Problems(filename, text)
    tree = read(text, problems)
    problems.raise_any()
    assert tree is not None
    parts = validate(tree, overrides, base, problems, check_data=check_data)
    problems.raise_any()
    assert parts is not None
    stem = Path(filename).stem
    name = parts.name or (stem if is_plain_name(stem) else "model")
    return Spec(name, parts.seed, path, parts.data, parts.model, parts.compile, parts.fit, parts.expect)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise UsageError(f"there is no file '{path}'{_near(path)}") from None
    except IsADirectoryError:
        raise UsageError(f"a spec must be a file; '{path}' is a folder{_near(path / 'x.yaml')}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"'{path}' can't be read: {reason}") from None
    if len(raw) > LARGEST_FILE:
        raise SpecError([f"{path}:1:1: a spec must not be larger than 1 MiB; received more"])
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = len(raw[raw.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        problems = Problems(str(path), "")
        problems.add(Place(line, column), f"a spec must be UTF-8 text; received the byte 0x{raw[error.start]:02x}")
        raise SpecError(problems.rendered()) from None


def _near(path: Path) -> str:
    """Spec files that may have been meant."""
    found = [
        file for folder in (path.parent, Path("configs")) if folder.is_dir() for file in sorted(folder.glob("*.yaml"))
    ]
    by_name = {file.name: str(file) for file in reversed(found)} | {file.stem: str(file) for file in reversed(found)}
    hint = suggestion(path.name, by_name)
    if hint:
        name = hint.split("'")[1]
        return f"; did you mean '{by_name[name]}'?"
    return f"; specs there: {', '.join(map(str, found[:5]))}" if found else ""
