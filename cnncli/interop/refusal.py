"""The error for a network that another framework can't run."""

from cnncli.errors import UsageError


def no_counterpart(framework: str, what: str) -> UsageError:
    """Return the error for `what` if the framework has no equivalent, or one with different semantics."""
    return UsageError(f"--against {framework} knows no counterpart of {what}")
