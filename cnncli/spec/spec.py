"""A validated spec, read from one YAML file."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnncli.datasets.section import DataSection
from cnncli.errors import Diagnostic, SpecError, UsageError, reason
from cnncli.graph.model import Model
from cnncli.spec import wrong_argument
from cnncli.spec.validation.declare import is_plain_name
from cnncli.spec.validation.sections import Pretrained
from cnncli.spec.validation.validate import validate
from cnncli.spec.yaml import writer
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.reader import LARGEST_FILE, read
from cnncli.spec.yaml.tree import Place
from cnncli.system.files import open_regular
from cnncli.training.metrics.expectations import Expectation
from cnncli.training.phases import Phase, Unfreezing, phases
from cnncli.training.search.section import Search
from cnncli.training.sections import CompileSection, FitSection


@dataclass(frozen=True)
class Spec:
    """A validated spec. `path` is its file, `warnings` are diagnostics, `notes` what was understood of the data's
    layout; none is compared. `weights`: the run or model file to start from, with its absolute path. `unfreezing`:
    the layers of the model that are frozen at first. `search`: the `tune` section, which only `cnncli tune` reads and
    a run does not save.
    """

    name: str
    seed: int
    path: Path | None = field(compare=False)
    data: DataSection
    model: Model
    compile: CompileSection
    fit: FitSection
    expect: tuple[Expectation, ...]
    warnings: tuple[Diagnostic, ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    weights: Pretrained | None = None
    unfreezing: Unfreezing | None = None
    search: Search | None = field(default=None, compare=False)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of the training: one, unless frozen layers are unfrozen."""
        return phases(self.model, self.unfreezing, self.fit.epochs, self.fit.initial_epoch)

    def resolved(self) -> dict[str, Any]:
        """The complete spec as plain data: blocks expanded, defaults filled in, names, inputs and paths explicit."""
        return {
            "name": self.name,
            "seed": self.seed,
            "data": self.data.plain(),
            "model": {
                "input_shape": list(self.model.input_shape),
                **self._weights(),
                **self._freezing(),
                "layers": [
                    {type(node.layer).__name__: {"name": node.name, "inputs": list(node.inputs), **node.layer.plain()}}
                    for node in self.model.nodes
                ],
            },
            "compile": self.compile.plain(),
            "fit": self.fit.plain(),
            "expect": {expectation.figure: expectation.condition for expectation in self.expect},
        }

    def _weights(self) -> dict[str, Any]:
        if self.weights is None:
            return {}
        return {"weights": self.weights.file if self.weights.by == "name" else self.weights.plain()}

    def _freezing(self) -> dict[str, Any]:
        later = self.unfreezing
        if later is None:
            return {}
        at = later.epoch if later.rate_factor == 1 else {"epoch": later.epoch, "rate_factor": later.rate_factor}
        return {"freeze": list(later.layers), "unfreeze_at": at}

    def to_yaml(self) -> str:
        """The resolved spec as YAML; parsing it returns an equal spec."""
        return writer.to_yaml(self.resolved())


def load(
    path: str | Path, overrides: Iterable[str] = (), *, check_data: bool = True, check_weights: bool = True
) -> Spec:
    """Read a spec file. Raises SpecError with all problems, UsageError if there is no such file."""
    path = Path(path)
    checks = {"check_data": check_data, "check_weights": check_weights}
    return _parse(_text(path), str(path), overrides, path.parent, path=path, **checks)


def parse(
    text: str, filename: str, overrides: Iterable[str] = (), *, base: Path | None = None, check_data: bool = True
) -> Spec:
    """Read a spec from its text. Raises SpecError.

    Paths in the spec are relative to `base`, by default the directory of `filename`. Without `check_data` the dataset
    is not read and need not exist, if the spec has an input_shape; nor need the file of `weights`.
    """
    return _parse(text, filename, overrides, base or Path(filename).parent, path=None, check_data=check_data)


def _parse(
    text: str, filename: str, overrides: Iterable[str], base: Path, *, path: Path | None, **checks: bool
) -> Spec:
    text = text.removeprefix("\ufeff")
    problems = Problems(filename, text)
    tree = read(text, problems)
    problems.raise_any()
    assert tree is not None
    parts = validate(tree, overrides, base, problems, **checks)
    problems.raise_any()
    assert parts is not None
    stem = Path(filename).stem
    name = parts.name or (stem if is_plain_name(stem) else "model")
    sections = parts.data, parts.model, parts.compile, parts.fit, parts.expect
    more = parts.notes, parts.weights, parts.unfreezing, parts.search
    return Spec(name, parts.seed, path, *sections, tuple(problems.warnings()), *more)


def _text(path: Path) -> str:
    try:
        with open_regular(path, inherited=True) as file:
            raw = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise UsageError(wrong_argument.missing(path)) from None
    except (OSError, ValueError) as error:
        if path.is_dir():
            raise UsageError(f"a spec must be a file; {wrong_argument.folder(path)}") from None
        raise UsageError(f"'{path}' can't be read: {reason(error)}") from None
    if path.suffix in wrong_argument.NOT_SPECS and b"\0" in raw:
        raise UsageError(f"a spec must be YAML text; '{path}' is {wrong_argument.NOT_SPECS[path.suffix].format(path)}")
    if len(raw) > LARGEST_FILE:
        raise SpecError([Diagnostic("a spec must not be larger than 1 MiB; received more", "error", str(path), 1, 1)])
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = len(raw[raw.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        problems = Problems(str(path), "")
        problems.add(Place(line, column), f"a spec must be UTF-8 text; received the byte 0x{raw[error.start]:02x}")
        raise SpecError(problems.diagnostics()) from None
