"""Loggers as listeners of one training, whose failures are warnings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from cnncli.errors import reason
from cnncli.training.events import BatchDone, Ended, EpochDone, Event, Notice, OnEvent, RunBegins
from cnncli.training.loggers.logger import Log, Logger
from cnncli.training.runs.past_runs import Ending, ending

HANDLERS: Mapping[type, Callable[[Log, Any], None]] = {
    RunBegins: lambda log, event: log.begin(event),
    BatchDone: lambda log, event: log.batch(event),
    EpochDone: lambda log, event: log.epoch(event),
    Ended: lambda log, event: log.end(event),
}


@contextmanager
def logged(loggers: Sequence[Logger], on_event: OnEvent) -> Iterator[OnEvent]:
    """A listener that passes events to `on_event` and then to the loggers, whose logs are closed after the block."""
    if not loggers:
        yield on_event
        return
    logs = [_Guarded(logger, on_event) for logger in loggers]
    of_batches = [log for log in logs if log.log is not None and log.log.reads_batches]

    def listen(event: Event) -> None:
        on_event(event)
        handler = HANDLERS.get(type(event))
        if handler is not None:
            for log in of_batches if isinstance(event, BatchDone) else logs:
                log.call(handler, event)

    how: Ending = "finished"
    try:
        yield listen
    except BaseException as error:
        how = ending(error)
        raise
    finally:
        for log in logs:
            log.call(lambda log, how: log.close(how), how)


class _Guarded:
    """The log of one logger, until it fails. Only its first warning is shown."""

    def __init__(self, logger: Logger, on_event: OnEvent) -> None:
        self.name, self.on_event, self.warned = type(logger).__name__, on_event, False
        self.log: Log | None = logger.log(self.warn)

    def warn(self, text: str) -> None:
        """Show a warning, unless there was one."""
        if not self.warned:
            self.warned = True
            self.on_event(Notice(f"{self.name}: {text}; the training is not affected", "warning"))

    def call(self, method: Callable[[Log, Any], None], about: object) -> None:
        """Call a method of the log; if it fails, warn and close the log."""
        if self.log is None:
            return
        try:
            method(self.log, about)
        except Exception as error:  # whatever it is: a log never ends a training
            failed, self.log = self.log, None
            self.warn(f"the log ends here: {_why(error)}")
            with suppress(Exception):
                failed.close("failed")


def _why(error: Exception) -> str:
    """What went wrong, with the file where it is known."""
    file = getattr(error, "filename", None)
    return f"{file}: {reason(error)}" if file else reason(error) or type(error).__name__
