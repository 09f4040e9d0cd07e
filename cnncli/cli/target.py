"""Which spec a SPEC or MODEL argument means: a spec file, a run directory, a model file, or the newest run."""

import json
from collections.abc import Iterable
from pathlib import Path

import click

from cnncli.errors import CnncliError, UsageError
from cnncli.spec.resolve import to_yaml
from cnncli.spec.spec import Spec, load, parse
from cnncli.training import runs

NO_RUN = "there is no run under runs/ yet; name a run, a model file or a spec"


def find_spec(argument: str | None, overrides: Iterable[str] = ()) -> Spec:
    """The spec that `argument` means; without one, that of the newest run, which is named on standard error.

    Raises UsageError where there is nothing of the kind, CnncliError for a model file that can't be read.
    """
    if argument is None:
        return load(newest_run() / "spec.yaml", overrides, check_data=False)
    path = Path(argument)
    if path.is_dir():
        if not (path / "spec.yaml").is_file():
            raise UsageError(f"'{path}' is no run: it has no spec.yaml")
        return load(path / "spec.yaml", overrides, check_data=False)
    if path.suffix == ".safetensors":
        return parse(spec_of_model_file(path), str(path), overrides, check_data=False)
    return load(path, overrides)


def newest_run(name: str | None = None, otherwise: str = NO_RUN) -> Path:
    """The newest run, of `name` or of all names, which is named on standard error.

    Raises UsageError where there is none: it says `otherwise`.
    """
    run = runs.newest(name)
    if run is None:
        raise UsageError(otherwise)
    click.echo(f"model: {run}", err=True)
    return run


def spec_of_model_file(path: Path) -> str:
    """The resolved spec in a model file's metadata, as YAML. Raises CnncliError where it carries none."""
    carried = runs.metadata(path)
    try:
        return to_yaml(json.loads(carried["spec"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CnncliError(f"'{path}' is no model of cnncli: it carries no spec") from None
