"""The `data` section of a spec."""

from typing import Annotated, Any, Literal

from cnncli.datasets.synthetic import Named, Source
from cnncli.layers.declaration import Declaration, Fraction, snake_case
from cnncli.layers.kinds import Number


class _Rescale(Number):
    """auto, or a number; a quotient of two is one, too."""

    def __init__(self) -> None:
        super().__init__()
        self.rule = "auto, or a number (1/255 is one)"

    def read(self, value: Any) -> Any:
        if value == "auto":
            return value
        if isinstance(value, str):
            top, slash, bottom = value.partition("/")
            try:
                value = float(top) / float(bottom) if slash else float(top)
            except (ValueError, ZeroDivisionError):
                raise self.refuse() from None
        return super().read(value)


class DataSection(Declaration):
    """What to train on."""

    dataset: Annotated[str | Source, Named()]
    """A known name, a name with arguments, or a file (relative to the spec)."""
    validation_split: Fraction = 0.0
    """The share of the training rows, the last ones, kept for validation."""
    rescale: Annotated[Literal["auto"] | float, _Rescale()] = "auto"
    """What images are multiplied by; auto divides uint8 by 255 and leaves floats."""
    targets: Literal["labels", "input"] = "labels"
    """What is to be predicted: the labels, or (an auto-encoder) the input itself."""

    @property
    def name(self) -> str:
        """What the dataset goes by: its name or its file's path."""
        return self.dataset if isinstance(self.dataset, str) else snake_case(type(self.dataset).__name__)
