"""The error for a network that another framework can't run."""

from cnncli.errors import UsageError


class NoCounterpart(UsageError):
    """A framework has no equivalent of `what`, or one with different semantics. `wish`: what asked for it."""

    def __init__(self, framework: str, what: str, wish: str) -> None:
        super().__init__(f"{wish} {framework} knows no counterpart of {what}")
        self.what = what


def no_counterpart(framework: str, what: str, wish: str = "--against") -> NoCounterpart:
    """Return the error for `what`; `wish`: the option that asked for the framework."""
    return NoCounterpart(framework, what, wish)
