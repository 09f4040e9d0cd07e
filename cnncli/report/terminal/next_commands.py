"""The commands that a training's closing lines suggest."""

from pathlib import Path
from shlex import quote

from cnncli.datasets.files import shipped
from cnncli.datasets.section import DataSection
from cnncli.training.runs import past_runs

SAMPLES = Path("data/samples")
DIGITS = "mnist5k"
"""The dataset that the samples are of."""


def next_commands(data: DataSection, run: str) -> list[str]:
    """Evaluate the run, by its name unless it is the newest, predict images with it, and write its report.

    Where it was trained on the embedded digits, the images are the bundled samples: those in the working
    directory (in a checkout), or the installed ones.
    """
    latest, newest = Path(run).parent / "latest", past_runs.newest()
    named = newest is None or newest.resolve() != Path(run).resolve()
    model = str(latest) if not named and latest.resolve() == Path(run).resolve() else run
    images = "IMAGE…"
    if data.name == DIGITS and data.targets == "labels":
        samples = SAMPLES if SAMPLES.is_dir() else shipped("data") / SAMPLES.name
        images = quote(f"{samples}/")
    of_run = f" {quote(run)}" * named
    return [f"cnncli evaluate{of_run}", f"cnncli predict {quote(model)} {images}", f"cnncli report{of_run}"]
