"""What is said while image files are read, on standard error."""

from collections.abc import Callable, Mapping, Sequence

from cnncli.datasets.problems import Problem, listed
from cnncli.report.terminal.figures import animated
from cnncli.report.terminal.output import echo, echo_raw

MOST_CLASSES = 5


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
    """List images that are in more than one split once they have the model's size, if there are any."""
    if groups:
        count = len(groups)
        head = f"{count:,} image{'s' * (count > 1)} in more than one split, with equal pixels at the model's size:"
        told = listed([" = ".join(group) for group in groups])
        echo("\n".join([head, *told, "  figures of what was trained on promise too much"]), err=True)


def tell_untrained(classes: Mapping[str, Sequence[str]]) -> None:
    """Say which classes a split shows and no image that is trained on, if there are any."""
    for split, names in classes.items():
        more = f" and {len(names) - MOST_CLASSES:,} more" if len(names) > MOST_CLASSES else ""
        shown = f"class{'es' * (len(names) > 1)} {', '.join(names[:MOST_CLASSES])}{more}"
        echo(f"{split} images show {shown}, of which there is none to train on", err=True)


def tell_skipped(skipped: Sequence[Problem]) -> None:
    """List the files that were left out, if there are any."""
    if skipped:
        count = len(skipped)
        echo("\n".join([f"{count:,} file{'s' * (count > 1)} left out:", *listed(skipped)]), err=True)
