"""The pictures of docs/pictures.md: `python -m tests.report.sample_pictures` trains a network and draws them."""

import os
import tempfile
from contextlib import chdir
from pathlib import Path

import cnncli
from cnncli.api.plots import Plot, What

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "pictures"
OF_RUN: tuple[What, ...] = ("curves", "confusion", "calibration")
MODEL = ROOT / "configs" / "residual.yaml"


def model_plot() -> Plot:
    """The diagram on the page, which needs no training."""
    return cnncli.plot(MODEL, expand_blocks=True)


def main() -> None:
    """Draw all of them."""
    FOLDER.mkdir(exist_ok=True)
    model_plot().save(FOLDER / "model.svg")
    with tempfile.TemporaryDirectory() as folder:
        with chdir(folder):
            Path("data").symlink_to(ROOT / "data")
            run = cnncli.train(os.fspath(ROOT / "configs" / "mnist.yaml"), output="run").path.absolute()
        for what in OF_RUN:
            cnncli.plot(run, what).save(FOLDER / f"{what}.svg")


if __name__ == "__main__":
    main()
