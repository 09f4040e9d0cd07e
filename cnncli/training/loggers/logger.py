"""Base classes of loggers: a declaration in the spec, and the log of one training."""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cnncli.layers.declarations.declaration import Declaration, Registry
from cnncli.layers.declarations.field_types import Kind, Schema
from cnncli.training.runs.past_runs import OWN_FILES

if TYPE_CHECKING:
    from cnncli.training.events import BatchDone, Ended, EpochDone, RunBegins
    from cnncli.training.runs.past_runs import Ending


class Log:
    """What a logger writes of one training. Override what it needs.

    Any method may raise: the training goes on without this log, with a warning (`listening.py`). None may change what
    it is handed.
    """

    reads_batches = False
    """Whether `batch` is called."""

    def begin(self, event: "RunBegins") -> None:
        """Called when training starts or resumes. Points after the checkpoint that it resumes from are to be removed,
        and epochs of its history that are missing to be added."""

    def batch(self, event: "BatchDone") -> None:
        """Called after each batch, if it reads them."""

    def epoch(self, event: "EpochDone") -> None:
        """Called after an epoch has been trained, validated and saved."""

    def end(self, event: "Ended") -> None:
        """Called when training and the final test are complete."""

    def close(self, ending: "Ending") -> None:
        """Called last, however the training ended."""


class Logger(Declaration):
    """Reads the events of a training; what it can't write is a warning, and training goes on."""

    def log(self, warn: Callable[[str], None]) -> Log:
        """The log of one training. `warn` shows the first text it is called with, as a warning."""
        raise NotImplementedError

    @property
    def place(self) -> str:
        """The path in the run directory that no other logger may have; "" for none."""
        return ""


LOGGERS = Registry("logger", Logger, spell=str.lower)


class InRun(Kind):
    """A path inside the run directory, so that each run of several seeds or folds has its own."""

    rule = "a relative path, which is one in the run directory, and none of the run's own files"
    sample = "logs"

    def read(self, value: Any) -> str:
        path = PurePosixPath(value if isinstance(value, str) else "")
        if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in str(path):
            raise self.refuse()
        if path.parts[0].lower() in OWN_FILES:
            raise self.refuse()
        return str(path)

    def schema(self) -> Schema:
        return {"type": "string"}
