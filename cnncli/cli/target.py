"""Which spec a SPEC or MODEL argument means: a spec file, a run directory, a model file, or the newest run."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

import click

from cnncli.errors import CnncliError, UsageError
from cnncli.spec.resolve import to_yaml
from cnncli.spec.spec import Spec, load, parse

RUNS = Path("runs")
LONGEST_HEADER = 16 << 20


def find_spec(argument: str | None, overrides: Iterable[str] = ()) -> Spec:
    """The spec that `argument` means; without one, that of the newest run, which is named on standard error.

    Raises UsageError where there is nothing of the kind, CnncliError for a model file that can't be read.
    """
    if argument is None:
        run = newest_run()
        click.echo(f"using {run}", err=True)
        return load(run / "spec.yaml", overrides, check_data=False)
    path = Path(argument)
    if path.is_dir():
        if not (path / "spec.yaml").is_file():
            raise UsageError(f"'{path}' is no run: it has no spec.yaml")
        return load(path / "spec.yaml", overrides, check_data=False)
    if path.suffix == ".safetensors":
        return parse(spec_of_model_file(path), str(path), overrides, check_data=False)
    return load(path, overrides)


def newest_run() -> Path:
    """The newest folder runs/NAME/TIME with a spec. Raises UsageError where there is none."""
    found = [file.parent for file in RUNS.glob("*/*/spec.yaml") if not file.parent.is_symlink()]
    if not found:
        raise UsageError(f"there is no run under {RUNS}/ yet: name a spec, a run or a model file")
    return max(found, key=lambda run: (run.stat().st_mtime_ns, run.name))


def spec_of_model_file(path: Path) -> str:
    """The resolved spec in a model file's metadata, as YAML. Reads the header only: 8 bytes of length, then JSON.

    Raises UsageError where there is no such file, CnncliError where it is no model of cnncli.
    """
    try:
        with path.open("rb") as file:
            prefix = file.read(8)
            length = int.from_bytes(prefix, "little")
            size = os.fstat(file.fileno()).st_size
            if len(prefix) < 8 or not 2 <= length <= min(LONGEST_HEADER, size - 8):
                raise CnncliError(f"'{path}' is no safetensors file, or it is cut short")
            header = file.read(length)
    except FileNotFoundError:
        raise UsageError(f"there is no file '{path}'") from None
    except OSError as error:
        raise CnncliError(f"'{path}' can't be read: {error.strerror}") from None
    try:
        spec = json.loads(json.loads(header)["__metadata__"]["spec"])
        return to_yaml(spec)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CnncliError(f"'{path}' is no model of cnncli: it carries no spec") from None
