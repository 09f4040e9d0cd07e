"""The error for a network that another framework can't run."""

from cnncli.errors import UsageError


def no_counterpart(framework: str, what: str, wish: str = "--against") -> UsageError:
    """Return the error for `what` if the framework has no equivalent, or one with different semantics.

    `wish`: the option that asked for the framework.
    """
    return UsageError(f"{wish} {framework} knows no counterpart of {what}")
