"""The exception classes of cnncli.

    CnncliError                  exit code 1: failed while running (disk full, unreadable data, no network)
    ├── UsageError               2: the command line or the spec is wrong
    │   └── SpecError            2: has every problem of a spec with its location
    ├── DeclarationError         2: a declaration is invalid; the spec reader adds the location
    │   └── ShapeError           2: a layer does not match its input shape
    ├── DivergedError            3: the loss, gradients or weights are no longer finite numbers
    ├── ExpectationError         4: `expect:` is not met
    └── InterruptedRun           129, 130 or 143: stopped by a signal, everything saved

The command line maps each to its exit code and a one-line message; nothing else catches them.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from cnncli.escaping import one_line


class CnncliError(Exception):
    """Runtime error. `str(error)` is the message for the user: one line, and one for each of `more`.

    Control characters within a line are escaped, line breaks among them.
    """

    exit_code = 1

    def __init__(self, message: str, *more: str) -> None:
        super().__init__("\n".join(map(one_line, (message, *more))))


class UsageError(CnncliError):
    """The command line or the spec is invalid."""

    exit_code = 2


class Diagnostic(NamedTuple):
    """A problem or warning in a spec.

    `file`, `line`, `column`: its location, from 1; if a change caused it, `setting` is that change. `excerpt`: the
    source line with a caret below the column.
    """

    message: str
    level: Literal["error", "warning"]
    file: str
    line: int
    column: int
    setting: str = ""
    excerpt: str = ""

    def __str__(self) -> str:
        place = self.setting or f"{self.file}:{self.line}:{self.column}"
        return one_line(f"{place}: {'warning: ' if self.level == 'warning' else ''}{self.message}")

    @property
    def text(self) -> str:
        """The text for the user: location, message and excerpt."""
        return f"{self}\n{self.excerpt}" if self.excerpt else str(self)


class SpecError(UsageError):
    """A spec has problems. `diagnostics`: all problems and warnings; `problems`: the texts of the problems."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        self.problems = [found.text for found in diagnostics if found.level == "error"]
        super().__init__(*"\n".join(self.problems).split("\n"))


class DeclarationError(CnncliError):
    """A declaration is invalid. The message gives the rule, then the value received. `key`: the invalid key."""

    exit_code = 2

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class ShapeError(DeclarationError):
    """A layer does not match its input shape."""


class DivergedError(CnncliError):
    """Training produced a loss, gradients or weights that are not finite."""

    exit_code = 3


class ExpectationError(CnncliError):
    """The run succeeded, but its metrics do not satisfy `expect:`."""

    exit_code = 4


class ChangedDataError(CnncliError):
    """A lazily read file was modified during the run."""


class PrunedRun(CnncliError):
    """A search gave up a training whose metrics are worse than those of others; its state is saved."""


class InterruptedRun(CnncliError):
    """A signal ended the run after its state was saved."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def is_of_machine(error: BaseException) -> bool:
    """Whether the system refused something, such as a file or memory: the same may succeed at another time."""
    if isinstance(error, UsageError):
        return False
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError | MemoryError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def reason(error: Exception) -> str:
    """The system's error message without number and file name, such as "Permission denied"."""
    return str(getattr(error, "strerror", None) or error)
