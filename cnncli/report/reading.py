"""What is said while image files are read, on standard error."""

from collections.abc import Callable, Sequence

from cnncli.datasets.problems import Problem, listed
from cnncli.report.output import echo, echo_raw
from cnncli.report.progress import animated


def decoding() -> Callable[[int, int], None]:
    """Shows on a terminal, and only there, how many of how many files are decoded."""
    return counting("decoding images, once")


def counting(what: str) -> Callable[[int, int], None]:
    """Shows on a terminal, and only there, how much of something is done."""
    if not animated():
        return lambda done, total: None

    def show(done: int, total: int) -> None:
        text = f"{what}: {done:,} of {total:,}" if done < total else ""
        echo_raw(f"\r\033[K{text}", err=True, nl=False)

    return show


def tell_repeated(groups: Sequence[Sequence[str]]) -> None:
    """List images that are in more than one split, if there are any."""
    if groups:
        count = len(groups)
        head = f"{count:,} image{'s are' if count > 1 else ' is'} in more than one split, to the byte:"
        told = listed([" = ".join(group) for group in groups])
        echo("\n".join([head, *told, "  figures of what was trained on promise too much"]), err=True)


def tell_skipped(skipped: Sequence[Problem]) -> None:
    """List the files that were left out, if there are any."""
    if skipped:
        count = len(skipped)
        echo("\n".join([f"{count:,} file{'s' * (count > 1)} left out:", *listed(skipped)]), err=True)
