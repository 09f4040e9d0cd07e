"""What commands that train a spec have in common: the argument SPEC, its options, and reading it."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click

from cnncli.api.specs import data_settings
from cnncli.cli import tell_warnings
from cnncli.cli.downloads import offline_option
from cnncli.cli.options import data_option, set_option, threads_option
from cnncli.spec.spec import Spec, load


class TrainingSpec(NamedTuple):
    """The SPEC of a command and its options --set, --data, --threads and --offline."""

    path: Path
    overrides: tuple[str, ...]
    data: str | None
    threads: int | None
    offline: bool

    @property
    def changes(self) -> list[str]:
        """What --set and --data change, as `KEY=VALUE`."""
        return [*self.overrides, *data_settings(self.data)]

    def load(self) -> Spec:
        """Read the spec, and print its warnings. Raises SpecError."""
        loaded = load(self.path, self.changes)
        tell_warnings(loaded.warnings)
        return loaded


def training_spec(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add SPEC and its options to a command, which is called with a TrainingSpec as `given`."""

    @wraps(command)
    def called(*, spec: Path, offline: bool, **options: Any) -> Any:
        given = TrainingSpec(spec, options.pop("overrides"), options.pop("data"), options.pop("threads"), offline)
        return command(given=given, **options)

    described = set_option(data_option()(threads_option(offline_option(called))))
    return click.argument("spec", type=click.Path(path_type=Path))(described)
