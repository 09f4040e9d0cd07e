"""A temporary directory, removed also on a signal."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from cnncli.system import signals


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new directory, removed with its content after the block. Raises OSError."""
    with (
        TemporaryDirectory(prefix="cnncli-") as name,
        signals.undoing(partial(shutil.rmtree, name, ignore_errors=True)),
    ):
        yield Path(name)
