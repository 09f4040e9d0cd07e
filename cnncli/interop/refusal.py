"""What is said of a network that another framework can't be asked to run."""

from cnncli.errors import UsageError


def no_counterpart(framework: str, what: str) -> UsageError:
    """What to raise where the framework has nothing like `what`, or where it would be something else there."""
    return UsageError(f"--against {framework} knows no counterpart of {what}")
