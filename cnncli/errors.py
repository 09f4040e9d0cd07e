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


class SpecError(UsageError):
    """A spec has problems; `problems` holds one rendered text for each, with its place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(*"\n".join(problems).split("\n"))
        self.problems = problems


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
