"""The `data` section of a spec."""

from typing import Annotated, Any, Literal

from cnncli.datasets.augmentation import AUGMENTATIONS, Augmentation
from cnncli.datasets.synthetic import Named, Source
from cnncli.layers.declaration import Declaration, Fraction, list_of, snake_case
from cnncli.layers.kinds import Quotient


class _Rescale(Quotient):
    """auto, or a number."""

    def read(self, value: Any) -> Any:
        return value if value == "auto" else super().read(value)


class DataSection(Declaration):
    """What to train on."""

    dataset: Annotated[str | Source, Named()]
    """A known name, a name with arguments, or a file (relative to the spec)."""
    validation_split: Fraction = 0.0
    """The share of the training rows, the last ones, kept for validation."""
    rescale: Annotated[Literal["auto"] | float, _Rescale("auto, or a number (1/255 is one)")] = "auto"
    """What images are multiplied by; auto divides uint8 by 255, and leaves floats, and all that Rescaling awaits."""
    targets: Literal["labels", "input"] = "labels"
    """What is to be predicted: the labels, or (an auto-encoder) the input itself."""
    augment: Annotated[tuple[Augmentation, ...], list_of(AUGMENTATIONS)] = ()
    """What is done at random to the images of training batches."""

    @property
    def name(self) -> str:
        """What the dataset goes by: its name or its file's path."""
        return self.dataset if isinstance(self.dataset, str) else snake_case(type(self.dataset).__name__)
