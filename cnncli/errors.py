"""Every error that cnncli raises on purpose.

    CnncliError                  exit code 1: failed while running (disk full, unreadable data, no network)
    ├── UsageError               2: the command line or the spec is wrong
    │   └── SpecError            2: carries every problem of a spec, each with its place
    ├── DeclarationError         2: one declaration breaks a rule; has no place yet, the spec reader gives it one
    │   └── ShapeError           2: a layer does not fit what it is fed
    ├── DivergedError            3: the loss is no longer a finite number
    ├── ExpectationError         4: `expect:` is not met
    └── InterruptedRun           129, 130 or 143: stopped by a signal, everything saved

The command line turns each into its exit code and one line; nothing else catches them.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from cnncli.escaping import one_line


class CnncliError(Exception):
    """Failed while running. `str(error)` is what the user reads: a line, and one for each of `more`.

    Control characters within a line are escaped, line breaks among them.
    """

    exit_code = 1

    def __init__(self, message: str, *more: str) -> None:
        super().__init__("\n".join(map(one_line, (message, *more))))


class UsageError(CnncliError):
    """The command line or the spec asks for something that can't be done."""

    exit_code = 2


class Diagnostic(NamedTuple):
    """A problem of a spec, or something doubtful in it.

    `file`, `line`, `column`: its place, from 1; where a change is at fault, `setting` is that change. `excerpt`: the
    source line and a caret below its column.
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
        """What people read: the place, the message, the excerpt."""
        return f"{self}\n{self.excerpt}" if self.excerpt else str(self)


class SpecError(UsageError):
    """A spec has problems: `diagnostics` has them all, and what is doubtful; `problems` their texts."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        self.problems = [found.text for found in diagnostics if found.level == "error"]
        super().__init__(*"\n".join(self.problems).split("\n"))


class DeclarationError(CnncliError):
    """A declaration breaks a rule: the text states the rule, then the value received. `key` is the one at fault."""

    exit_code = 2

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class ShapeError(DeclarationError):
    """A layer does not fit the shape it is fed."""


class DivergedError(CnncliError):
    """Training produced a loss that is not finite."""

    exit_code = 3


class ExpectationError(CnncliError):
    """The run ended well, but its figures are not what `expect:` asks for."""

    exit_code = 4


class ChangedDataError(CnncliError):
    """A file that is read as it is needed was written to meanwhile."""


class InterruptedRun(CnncliError):
    """A signal ended the run after its state was saved."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def reason(error: Exception) -> str:
    """What the system says of a failed access, without number and file name: "Permission denied"."""
    return str(getattr(error, "strerror", None) or error)
