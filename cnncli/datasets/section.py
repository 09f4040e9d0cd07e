"""The `data` section of a spec."""

from typing import Annotated, Any, Literal

from cnncli.datasets.augment import colour, geometric, levels, mixing, photometric, policies
from cnncli.datasets.augment.augmentation import AUGMENTATIONS, Augmentation
from cnncli.datasets.sources.synthetic import Named, Source
from cnncli.errors import DeclarationError
from cnncli.layers.declarations.declaration import Declaration, Fraction, list_of, snake_case
from cnncli.layers.declarations.field_types import Integer, Maybe, Quotient, Schema
from cnncli.layers.declarations.list_types import PairOf


class _Rescale(Quotient):
    """auto, or a number."""

    def read(self, value: Any) -> Any:
        return value if value == "auto" else super().read(value)

    def schema(self) -> Schema:
        return {"anyOf": [{"const": "auto"}, super().schema()]}


AUGMENTING = (geometric, photometric, colour, levels, policies, mixing)
"""Importing them fills AUGMENTATIONS."""
LARGEST_SIDE = 16_384
MOST_MASKED = 255
"""The greatest class number of a pixel."""
FOLDER_KEYS = (
    *("test_split", "image_size", "color_mode", "crop_to_aspect_ratio", "pad_to_aspect_ratio"),
    *("interpolation", "antialias", "on_error"),
)


Targets = Literal["labels", "input", "masks"]


class DataSection(Declaration):
    """What to train on."""

    dataset: Annotated[str | Source, Named()]
    """A known name, a name with arguments, a folder of images, or a file or folder of arrays (relative to the spec)."""
    validation_split: Fraction = 0.0
    """The share kept for validation: of arrays the last training rows, as in Keras; of folders and .csv files a part of
    each class, by the seed."""
    stratified: bool | None = None
    """true: of arrays, too, validation_split and test_split take a part of each class, by the seed."""
    rescale: Annotated[Literal["auto"] | float, _Rescale("auto, or a number (1/255 is one)")] = "auto"
    """What images are multiplied by; auto divides uint8 by 255, and leaves floats, and all that Rescaling awaits, be it
    behind layers that leave pixels on their scale, as padding does."""
    targets: Targets = "labels"
    """What is to be predicted: labels, the input itself (an auto-encoder), or masks: what each pixel shows."""
    augment: Annotated[tuple[Augmentation, ...], list_of(AUGMENTATIONS)] = ()
    """What is done at random to the images of training batches."""
    folds: Annotated[int | None, Maybe(Integer(2))] = None
    """Parts into which the training images are dealt, class by class and by the seed, for cross-validation."""
    fold: Annotated[int, Integer(1)] = 1
    """The part that is kept for validation, from 1."""
    test_split: Fraction = 0.0
    """The share of each class that is kept for the test: of folders, .csv files and, with `stratified`, arrays."""
    image_size: Annotated[tuple[int, int] | None, Maybe(PairOf(Integer(1, LARGEST_SIDE)))] = None
    """(height, width) that images are resized to; without it all must be as large as the first. From here on: of
    folders of images only."""
    color_mode: Literal["rgb", "grayscale"] = "rgb"
    """What images of any kind are converted to; alpha is dropped."""
    crop_to_aspect_ratio: bool = False
    """Cut off what is too wide or too high, so that nothing is distorted."""
    pad_to_aspect_ratio: bool = False
    """Add black to what is too narrow or too low, so that nothing is distorted."""
    interpolation: Literal["bilinear", "nearest", "bicubic", "area", "lanczos3"] = "bilinear"
    """How images are resized."""
    antialias: bool = True
    """Smooth images that are made smaller. Keras' image_dataset_from_directory does not: with false the pixels are its,
    rounded (bicubic, area, lanczos3: but for 1 in 2,000, which are one level off)."""
    on_error: Literal["stop", "skip"] = "stop"
    """What becomes of files that can't be used: skip leaves them out, and lists them."""

    def contradiction(self) -> str:
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            return "only one of crop_to_aspect_ratio and pad_to_aspect_ratio may be true"
        if self.folds is not None and self.validation_split:
            return "folds keep a part for validation themselves: validation_split must be left out"
        if self.fold > (self.folds or 1):
            return f"fold must be at most folds, {self.folds or 1}"
        if self.validation_split + self.test_split >= 1:
            return "validation_split and test_split must leave something to train on"
        if self.stratified and self.targets != "labels":
            return f"stratified needs a class for each image, which there is not with `targets: {self.targets}`"
        return ""

    @property
    def shares(self) -> dict[str, float]:
        """The shares of the training images that are taken off, by "test" and "validation"; those that there are."""
        shares = {"test": self.test_split, "validation": self.validation_split}
        return {name: share for name, share in shares.items() if share}

    def refuse_unstratified(self) -> None:
        """Raise DeclarationError where a folder or a table should be divided otherwise than class by class."""
        if self.stratified is False:
            raise DeclarationError(
                f"stratified must be true or left out: {self.name} is always divided class by class", "stratified"
            )

    def refuse_folder_keys(self, *allowed: str) -> None:
        """Raise DeclarationError for a key that was given and means something to folders of images only."""
        if self.test_split and "test_split" not in allowed:
            raise DeclarationError("test_split of arrays needs `stratified: true` beside it", "test_split")
        for key in FOLDER_KEYS:
            if key not in allowed and getattr(self, key) != self.fields[key].default:
                raise DeclarationError(f"{key} is for folders of images, which {self.name} is not", key)

    @property
    def name(self) -> str:
        """What the dataset goes by: its name or its file's path."""
        return self.dataset if isinstance(self.dataset, str) else snake_case(type(self.dataset).__name__)
