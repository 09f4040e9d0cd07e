"""CSV (keras/src/callbacks/csv_logger.py)."""

import csv
import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from cnncli.layers.declarations.field_types import Boolean, Kind, Schema
from cnncli.system import atomic
from cnncli.training.loggers.logger import LOGGERS, InRun, Log, Logger

if TYPE_CHECKING:
    from cnncli.training.events import EpochDone, RunBegins
    from cnncli.training.runs.past_runs import Ending

MISSING = "NA"


class _Separator(Kind):
    """What csv takes as a delimiter."""

    rule = "one character, and no quote or line break"
    sample = ";"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or len(value) != 1 or value in '"\r\n\0':
            raise self.refuse()
        return value

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1, "maxLength": 1}


@LOGGERS.register
class CSV(Logger):
    """One row per epoch, counted from 0, in a file of the run directory, as Keras' CSVLogger writes it. Keras' `append`
    has no effect: a new run has a new directory, and a resumed one goes on with its file.
    """

    ignored: ClassVar[Mapping[str, Kind]] = {"append": Boolean()}

    filename: Annotated[str, InRun()] = "log.csv"
    separator: Annotated[str, _Separator()] = ","

    @property
    def place(self) -> str:
        return self.filename

    def log(self, warn: Callable[[str], None]) -> Log:
        return _Rows(self)


class _Rows(Log):
    """The file. A resumed run's is written again from the epochs of its checkpoint."""

    def __init__(self, declared: CSV) -> None:
        self.declared, self.columns = declared, list[str]()
        self.file: io.TextIOWrapper | None = None

    def begin(self, event: "RunBegins") -> None:
        path = Path(event.run) / self.declared.filename
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, "".join(map(self._row, event.history)).encode())
        self.file = path.open("a", encoding="utf-8", newline="")

    def epoch(self, event: "EpochDone") -> None:
        assert self.file is not None  # see begin
        self.file.write(self._row(event.figures))
        self.file.flush()

    def close(self, ending: "Ending") -> None:
        if self.file is not None:
            with suppress(OSError):  # reported by the write that failed
                self.file.close()

    def _row(self, figures: Mapping[str, float]) -> str:
        """The line of an epoch, before the first with those of the columns' names."""
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.declared.separator)
        if not self.columns:
            self.columns = _columns(figures)
            writer.writerow(["epoch", *self.columns])
        writer.writerow([int(figures["epoch"]) - 1, *(figures.get(name, MISSING) for name in self.columns)])
        return text.getvalue()


def _columns(figures: Mapping[str, float]) -> list[str]:
    """Those of the first epoch in order; if it was not validated, also those that later ones may have."""
    names = sorted(name for name in figures if name != "epoch")
    validated = any(name.startswith("val_") for name in names)
    return names if validated else [*names, *(f"val_{name}" for name in names)]
