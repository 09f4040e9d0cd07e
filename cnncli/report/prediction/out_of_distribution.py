"""Detection of input images that differ from the training images."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from cnncli.datasets.images.brightness_stats import BrightnessStats
from cnncli.training.prediction import Prediction


@dataclass
class InputCheck:
    """Compares input images with the training images' brightness, `tone`; without it, nothing is reported. `inverted`:
    whether brightness was inverted.
    """

    tone: BrightnessStats | None
    inverted: bool
    found: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def look(self, prediction: Prediction) -> None:
        """Add an image."""
        if self.tone is None or prediction.plain is None or prediction.image.pixels is None:
            return
        least, greatest = float(prediction.plain.min()), float(prediction.plain.max())
        mean, white = float(prediction.plain.mean(dtype=np.float64)), prediction.white
        if not self.tone.spans(least, greatest, bytes_only=prediction.image.pixels.dtype == np.uint8):
            self._note("other", f"{prediction.image.name}: {least:.4g} to {greatest:.4g}")
        elif way := self.tone.inverse_of(mean, white):
            theirs = _percent(self.tone.mean / white)
            self._note(way, f"{prediction.image.name}: {_percent(mean / white)} of white, theirs {theirs}")

    def warnings(self) -> Iterator[str]:
        """Warnings, one line per kind of difference."""
        for kind, count in self.found.items():
            images = f"{count:,} image{'s are' if count > 1 else ' is'}"
            if kind == "other":
                assert self.tone is not None
                theirs = f"{self.tone.least:.4g} to {self.tone.greatest:.4g}"
                said = f"{images} fed as numbers unlike the training images', {theirs} ({self.first[kind]})"
                advice = "prepare them as those were, as a .npy"
            else:
                said = f"{images} far {kind} than the training images ({self.first[kind]})"
                light, dark = ("dark", "light") if kind == "lighter" else ("light", "dark")
                advice = f"for {light} on {dark} give --invert"
                if self.inverted:
                    advice = "leave out --invert, which made them so"
            yield f"{said}; {advice}"

    def _note(self, kind: str, text: str) -> None:
        self.found[kind] = self.found.get(kind, 0) + 1
        self.first.setdefault(kind, text)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
