"""The `data` section of a spec."""

from typing import Annotated, Any, Literal

from cnncli.datasets.augment import colour, geometric, levels, mixing, photometric, policies
from cnncli.datasets.augment.augmentation import AUGMENTATIONS, Augmentation
from cnncli.datasets.name_pattern import NamePattern
from cnncli.datasets.sources.synthetic import Named, Source
from cnncli.errors import DeclarationError
from cnncli.layers.declarations.declaration import Declaration, Fraction, list_of, snake_case
from cnncli.layers.declarations.field_types import Integer, Kind, Maybe, Quotient, Schema
from cnncli.layers.declarations.list_types import ListOf, PairOf


class _Rescale(Quotient):
    """auto, or a number."""

    def read(self, value: Any) -> Any:
        return value if value == "auto" else super().read(value)

    def schema(self) -> Schema:
        return {"anyOf": [{"const": "auto"}, super().schema()]}


class _Column(Kind):
    """A column of a table: its name, or its number from 1."""

    rule = "the name of a column, or its number from 1"
    sample = "label"

    def read(self, value: Any) -> str | int:
        if (
            isinstance(value, bool)
            or not isinstance(value, str | int)
            or value in ("", 0)
            or str(value).startswith("-")
        ):
            raise self.refuse()
        return value

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}]}


AUGMENTING = (geometric, photometric, colour, levels, policies, mixing)
"""Importing them fills AUGMENTATIONS."""
LARGEST_SIDE = 16_384
MOST_MASKED = 255
"""The greatest class number of a pixel."""
FOLDER_KEYS = (
    *("test_split", "image_size", "color_mode", "crop_to_aspect_ratio", "pad_to_aspect_ratio"),
    *("interpolation", "antialias", "on_error", "layout", "alpha", "bit_depth", "palette"),
    "label_from",
)
ARRAY_KEYS = ("data_format",)
TABLE_KEYS = ("label_column",)
KEYS = {"folders of images": FOLDER_KEYS, "files of arrays": ARRAY_KEYS, "tables of pixels": TABLE_KEYS}
"""Keys that mean something to one kind of data only."""

DataFormat = Literal["auto", "channels_last", "channels_first"]

COLOR = ListOf(Integer(0, 255), 3, 3)
Targets = Literal["labels", "input", "masks", "values"]
LayoutName = Literal["auto", "class_folders"]


class DataSection(Declaration):
    """The dataset, its splits, preprocessing and augmentation."""

    dataset: Annotated[str | Source, Named()]
    """Dataset name, name with arguments, folder of images, or file or folder of arrays (relative to the spec)."""
    validation_split: Fraction = 0.0
    """Fraction of the training data used for validation: for arrays the last rows, as in Keras; for folders and .csv
    files a random part of each class."""
    stratified: bool | None = None
    """true: validation_split and test_split take a random part of each class for arrays, too."""
    rescale: Annotated[Literal["auto"] | float, _Rescale("auto, or a number or a fraction like 1/255")] = "auto"
    """Factor applied to pixel values; auto divides uint8 by 255, unless the model itself begins with Rescaling, and
    leaves floats unchanged."""
    targets: Targets = "labels"
    """What the model predicts: class labels, the input itself (autoencoder), masks (a class per pixel), or values: one
    or more numbers per image (regression), from arrays or the columns of a labels.csv."""
    data_format: DataFormat = "auto"
    """Axes of arrays: channels_first transposes (N, C, H, W) to (N, H, W, C). auto is channels_last, but refuses what
    looks like channels_first. For .npz, .npy and HDF5 files."""
    label_column: Annotated[str | int | None, Maybe(_Column())] = None
    """Column of the class in a table of pixels (.csv): its name, or its number from 1. By default the column named
    label, class, target or y; without a header the first, or the last where only it can be one. With `targets: values`
    the column of a labels.csv; by default all but `file`."""
    augment: Annotated[tuple[Augmentation, ...], list_of(AUGMENTATIONS)] = ()
    """Random augmentations of training batches, in order."""
    folds: Annotated[int | None, Maybe(Integer(2))] = None
    """Number of folds for cross-validation; the training images are split by class at random."""
    fold: Annotated[int, Integer(1)] = 1
    """The fold used for validation, counted from 1."""
    test_split: Fraction = 0.0
    """Fraction of each class used for the test: for folders, .csv files and, with `stratified`, arrays."""
    image_size: Annotated[tuple[int, int] | None, Maybe(PairOf(Integer(1, LARGEST_SIDE)))] = None
    """(height, width) to which images are resized; by default all must have the size of the first. This and the
    following keys apply to folders of images only."""
    color_mode: Literal["rgb", "grayscale"] = "rgb"
    """Color mode to which images are converted."""
    crop_to_aspect_ratio: bool = False
    """Crop images to the target aspect ratio instead of distorting them."""
    pad_to_aspect_ratio: bool = False
    """Pad images with black to the target aspect ratio instead of distorting them."""
    interpolation: Literal["bilinear", "nearest", "bicubic", "area", "lanczos3"] = "bilinear"
    """Interpolation method for resizing."""
    antialias: bool = True
    """Antialias when downsizing. false gives the rounded pixels of Keras' image_dataset_from_directory (for bicubic,
    area and lanczos3 up to one level, in 1 of 2,000 pixels)."""
    on_error: Literal["stop", "skip"] = "stop"
    """Handling of unusable files: stop with an error, or skip and list them."""
    alpha: Literal["drop", "white", "black", "channel"] = "drop"
    """Handling of transparency: drop the alpha channel, compose images on white or black, or keep it as a channel."""
    bit_depth: Annotated[int, Integer(8, 16)] = 16
    """Bits of grayscale images of 16-bit files, whose greatest value becomes 255: 12 if they hold 0 to 4095."""
    layout: LayoutName = "auto"
    """class_folders: the folders in `dataset` are the classes, whatever they are called and hold; auto recognizes
    splits, tables and folders around the data."""

    label_from: Annotated[str | None, Maybe(NamePattern())] = None
    """Regular expression whose group (the only one, or the one named label) is the class in the name of an image file.
    It is searched in the name without its ending; if it has a /, in the path. With `targets: values` it is a number."""
    palette: Annotated[tuple[tuple[int, int, int], ...] | None, Maybe(ListOf(COLOR, 2, MOST_MASKED + 1))] = None
    """The colors of masks, [red, green, blue]; the place of a color in the list, from 0, is its class."""

    def contradiction(self) -> str:
        unlabelled = self.targets != "labels"
        rules = {
            "only one of crop_to_aspect_ratio and pad_to_aspect_ratio may be true": self.crop_to_aspect_ratio
            and self.pad_to_aspect_ratio,
            "folds already provide validation data: omit validation_split": self.folds is not None
            and self.validation_split,
            f"fold must be at most folds, {self.folds or 1}": self.fold > (self.folds or 1),
            "validation_split and test_split must add up to less than 1": self.validation_split + self.test_split >= 1,
            f"stratified requires class labels; remove it with `targets: {self.targets}`": self.stratified
            and unlabelled,
            f"layout requires class labels; remove it with `targets: {self.targets}`": self.layout != "auto"
            and unlabelled,
            f"label_from requires class labels or numbers; remove it with `targets: {self.targets}`": self.label_from
            and self.targets in ("input", "masks"),
            "label_from finds classes in names, layout takes them from folders: give one of them": self.label_from
            and self.layout != "auto",
            "palette requires `targets: masks`": self.palette and self.targets != "masks",
            "palette must have each color once": self.palette and len(set(self.palette)) < len(self.palette),
        }
        return next((rule for rule, broken in rules.items() if broken), "")

    @property
    def shares(self) -> dict[str, float]:
        """The shares of the training images that are taken off, by "test" and "validation"; those that there are."""
        shares = {"test": self.test_split, "validation": self.validation_split}
        return {name: share for name, share in shares.items() if share}

    def refuse_unstratified(self) -> None:
        """Raise DeclarationError where a folder or a table should be divided otherwise than class by class."""
        if self.stratified is False:
            raise DeclarationError(
                f"stratified must be true or omitted: {self.name} is always split by class", "stratified"
            )

    def refuse_keys(self, *allowed: str) -> None:
        """Raise DeclarationError for a key that was given and means something to other kinds of data only."""
        if self.test_split and "test_split" not in allowed:
            way = "requires `stratified: true`"
            if self.targets == "values":
                way = "must be omitted with `targets: values`: save the rows as x_test and y_test"
            raise DeclarationError(f"test_split of arrays {way}", "test_split")
        for kind, keys in KEYS.items():
            for key in keys:
                if key not in allowed and getattr(self, key) != self.fields[key].default:
                    raise DeclarationError(f"{key} is only for {kind}; {self.name} is not one", key)

    @property
    def name(self) -> str:
        """What the dataset goes by: its name or its file's path."""
        return self.dataset if isinstance(self.dataset, str) else snake_case(type(self.dataset).__name__)
