"""The `data` section of a spec."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from cnncli.datasets.augment import colour, geometric, levels, mixing, photometric, policies
from cnncli.datasets.augment.augmentation import AUGMENTATIONS, Augmentation
from cnncli.datasets.name_pattern import NamePattern
from cnncli.datasets.sources.synthetic import Named, Source
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import DeclarationError
from cnncli.layers.declarations.declaration import Declaration, Fraction, list_of, snake_case
from cnncli.layers.declarations.field_types import Integer, Kind, Maybe, Number, Quotient, Schema, String
from cnncli.layers.declarations.list_types import ListOf, PairOf
from cnncli.layers.declarations.mapping_types import FieldMapping
from cnncli.layers.declarations.validation_errors import ValidationError

AUTO: Literal["auto"] = "auto"
"""`sample_weight` where the names of arrays and columns say which has the weights."""
TRAIN: Literal["train"] = "train"
"""`normalize` by the training images."""


class _Rescale(Quotient):
    """auto, a number, or a number per channel."""

    def read(self, value: Any) -> Any:
        if isinstance(value, list | tuple) and value:
            return tuple(super(_Rescale, self).read(each) for each in value)
        return value if value == "auto" else super().read(value)

    def schema(self) -> Schema:
        number = super().schema()
        return {"anyOf": [{"const": "auto"}, number, {"type": "array", "items": number, "minItems": 1}]}


class Normalize(FieldMapping[tuple[float, ...]]):
    """The `mean` and the `variance` of each channel."""


class _Normalize(Kind):
    """train, or a mean and a variance per channel."""

    rule = "train, or {mean: […], variance: […]} with a number per channel"
    choices = (TRAIN,)
    sample = TRAIN

    def read(self, value: Any) -> str | Normalize:
        if value == TRAIN:
            return TRAIN
        if not isinstance(value, Mapping) or set(value) != {"mean", "variance"}:
            raise self.refuse()
        try:
            mean, variance = ListOf(Number(), 1).read(value["mean"]), ListOf(Number(0), 1).read(value["variance"])
        except ValidationError:
            raise self.refuse() from None
        if len(mean) != len(variance):
            raise self.refuse()
        return Normalize(mean=mean, variance=variance)

    def schema(self) -> Schema:
        numbers = {name: ListOf(Number(least), 1).schema() for name, least in (("mean", None), ("variance", 0))}
        mapping = {"type": "object", "properties": numbers, "required": [*numbers], "additionalProperties": False}
        return {"anyOf": [{"const": TRAIN}, mapping]}


COLOR = ListOf(Integer(0, 255), 3, 3)


class _Column(Kind):
    """A column of a table: its name, or its number from 1."""

    def __init__(self, rule: str = "the name of a column, or its number from 1") -> None:
        self.rule, self.sample = rule, "label"

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


class Colors(FieldMapping[tuple[int, int, int]]):
    """A color by the name of its class."""


class _Palette(ListOf):
    """Colors of classes, in the order of their numbers: a list, or a mapping from their names."""

    def __init__(self, most: int) -> None:
        super().__init__(COLOR, 2, most)
        self.rule = f"{self.rule}, or a mapping of classes to such colors"

    def read(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return super().read(value)
        names = [str(name) for name in value]
        if not all(names) or not all(map(str.isprintable, names)):
            raise self.refuse()
        try:
            return Colors(zip(names, super().read(list(value.values())), strict=True))
        except ValidationError as error:  # of a place in the list: that of a name
            raise ValidationError(
                detail._replace(path=(list(value)[int(detail.path[0])], *detail.path[1:])) if detail.path else detail
                for detail in error.details
            ) from None

    def schema(self) -> Schema:
        named = {"type": "object", "additionalProperties": COLOR.schema(), "minProperties": self.least}
        return {"anyOf": [super().schema(), named]}


class TableColumns(FieldMapping[Any]):
    """What `columns` says of a table of images, by its keys."""

    keys_known: ClassVar = ("file", "label", "split", "folder", "separator")

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of the class or of the values; none where they are not given."""
        given = self.get("label", ())
        return (given,) if isinstance(given, str) else tuple(given)


class _Columns(Kind):
    """Columns of a table of images, and where and how to read it."""

    rule = (
        "a mapping with some of file, label (a column or a list of columns), split, folder and separator, like "
        "{file: photo, label: breed}"
    )
    sample = TableColumns(label="breed")

    def read(self, value: Any) -> TableColumns:
        if not isinstance(value, Mapping) or not value or not set(value) <= set(TableColumns.keys_known):
            raise self.refuse()
        labels = value.get("label", "-")
        for text in (
            *(value[key] for key in value if key != "label"),
            *([labels] if isinstance(labels, str) else labels),
        ):
            if not isinstance(text, str) or not text:
                raise self.refuse()
        if not labels or not isinstance(labels, str | list | tuple):
            raise self.refuse()
        return TableColumns({key: list(each) if isinstance(each, tuple) else each for key, each in value.items()})

    def schema(self) -> Schema:
        text = {"type": "string", "minLength": 1}
        label = {"anyOf": [text, {"type": "array", "items": text, "minItems": 1}]}
        properties = {key: label if key == "label" else text for key in TableColumns.keys_known}
        return {"type": "object", "minProperties": 1, "properties": properties, "additionalProperties": False}


AUGMENTING = (geometric, photometric, colour, levels, policies, mixing)
"""Importing them fills AUGMENTATIONS."""
LARGEST_SIDE = 16_384
MOST_MASKED = 255
"""The greatest class number of a pixel."""
STILL_WEIGHTS = (
    "weights of pixels do not follow augmentations: omit `augment` under `data`, or weigh classes by `class_weight` "
    "under `fit`, whose weights do"
)
FOLDER_KEYS = (
    *("test_split", "image_size", "color_mode", "crop_to_aspect_ratio", "pad_to_aspect_ratio"),
    *("interpolation", "antialias", "on_error", "layout", "alpha", "bit_depth", "palette", "crop_boxes"),
    *("group_by", "columns", "label_from", "sample_weight"),
)
ARRAY_KEYS = ("data_format", "group_by", "sample_weight")
TABLE_KEYS = ("label_column", "sample_weight")
KEYS = {"folders of images": FOLDER_KEYS, "files of arrays": ARRAY_KEYS, "tables of pixels": TABLE_KEYS}
"""Keys that mean something to one kind of data only."""

DataFormat = Literal["auto", "channels_last", "channels_first"]
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
    rescale: Annotated[
        Literal["auto"] | float | tuple[float, ...],
        _Rescale("auto, a number or a fraction like 1/255, or a list of them, one per channel"),
    ] = "auto"
    """Factor applied to pixel values; auto divides uint8 by 255, unless the model itself begins with Rescaling, and
    leaves floats unchanged. A list has a factor for each channel."""
    normalize: Annotated[str | Normalize | None, Maybe(_Normalize())] = None
    """Subtract a mean from each channel and divide by the square root of a variance, after rescaling and augmentation:
    train takes both from the training images (and saves them with the run and the model)."""
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
    color_mode: Literal["rgb", "grayscale", "all"] = "rgb"
    """Color mode to which images are converted; all keeps the channels and their values as they are: uint8, or float32
    of 16 bits and floats."""
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
    group_by: Annotated[str | None, Maybe(String())] = None
    """What keeps images of a patient, a track or a recording in one split: a regular expression with one group in
    parentheses, for the files' names relative to the dataset, or a column of labels.csv; of arrays the name of another
    array, whole numbers (N,) for the training rows."""
    sample_weight: Annotated[str | int | None, Maybe(_Column("auto, or an array or a column by its name"))] = AUTO
    """A weight of each image in the loss, as Keras' `sample_weight`: an array beside y_train, or a column of a table.
    auto takes one called sample_weight (of arrays also sample_weight_train, sample_weight_val, …); null takes none."""
    palette: Annotated[tuple[tuple[int, int, int], ...] | Colors | None, Maybe(_Palette(MOST_MASKED + 1))] = None
    """The colors of masks, [red, green, blue]: a list, in which the place of a color, from 0, is its class, or a
    mapping from the names of classes, in the order of their numbers."""

    crop_boxes: bool = False
    """true: of a detection set (COCO, Pascal VOC, YOLO, tables of boxes) the content of each box is an image of its
    class; requires image_size."""
    columns: Annotated[TableColumns | None, Maybe(_Columns())] = None
    """Columns of a table of images: `file` and `label` (several, with 0 or 1, for images of several classes; with
    `targets: values` those of the numbers), `split`; `folder` of the images, relative to the table; `separator` between
    several classes in a cell. By default recognized by their usual names."""
    label_from: Annotated[str | None, Maybe(NamePattern())] = None
    """Regular expression whose group (the only one, or the one named label) is the class in the name of an image file.
    It is searched in the name without its ending; if it has a /, in the path. With `targets: values` it is a number."""

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
            "alpha must be omitted with `color_mode: all`: alpha is one of the channels": self.color_mode == "all"
            and self.alpha != "drop",
            "bit_depth must be omitted with `color_mode: all`, which keeps values as they are; rescale scales them": (
                self.color_mode == "all" and self.bit_depth != 16
            ),
            f"crop_boxes requires class labels; remove it with `targets: {self.targets}`": self.crop_boxes
            and unlabelled,
            "crop_boxes requires `layout: auto`": self.crop_boxes and self.layout != "auto",
            "crop_boxes takes classes from boxes: omit columns, label_from and label_column": self.crop_boxes
            and (self.columns or self.label_from or self.label_column is not None),
            "crop_boxes requires image_size": self.crop_boxes and self.image_size is None,
            "crop_boxes requires `color_mode: rgb` or `grayscale`": self.crop_boxes and self.color_mode == "all",
            f"columns requires class labels or values; remove it with `targets: {self.targets}`": self.columns
            and self.targets not in ("labels", "values"),
            "columns requires a table; remove it with `layout: class_folders`": self.columns and self.layout != "auto",
            "label_column and columns name the same column: omit label_column": self.columns
            and self.label_column is not None,
            f"label_from requires class labels or numbers; remove it with `targets: {self.targets}`": self.label_from
            and self.targets in ("input", "masks"),
            "label_from finds classes in names, layout takes them from folders: give one of them": self.label_from
            and self.layout != "auto",
            "palette requires `targets: masks`": self.palette and self.targets != "masks",
            "palette must have each color once": len(set(self.colors)) < len(self.colors),
        }
        return next((rule for rule, broken in rules.items() if broken), "")

    @property
    def colors(self) -> tuple[tuple[int, int, int], ...]:
        """The colors of masks in the order of their class numbers; none where they are not in colors."""
        given = self.palette or ()
        return tuple(given.values()) if isinstance(given, Colors) else given

    @property
    def color_names(self) -> tuple[str, ...]:
        """The names of the classes that have colors, where they have names."""
        return tuple(map(composed, self.palette)) if isinstance(self.palette, Colors) else ()

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
            way = "requires `stratified: true` or `group_by`"
            if self.targets == "values":
                way = "must be omitted with `targets: values`: save the rows as x_test and y_test"
            raise DeclarationError(f"test_split of arrays {way}", "test_split")
        for key in dict.fromkeys(key for keys in KEYS.values() for key in keys):
            if key not in allowed and getattr(self, key) != self.fields[key].default:
                kinds = " and ".join(kind for kind, keys in KEYS.items() if key in keys)
                raise DeclarationError(f"{key} is only for {kinds}; {self.name} is not one", key)

    def refuse_channels(self, channels: int) -> None:
        """Raise DeclarationError for a list that has not a number for each of an image's channels."""
        means = self.normalize["mean"] if isinstance(self.normalize, Normalize) else None
        for key, numbers in (("rescale", self.rescale), ("normalize", means)):
            if isinstance(numbers, tuple) and len(numbers) != channels:
                rule = f"a number for each of the images' channels, {channels}"
                raise DeclarationError(f"{key} must have {rule}; received {len(numbers)}", key)

    @property
    def name(self) -> str:
        """What the dataset goes by: its name or its file's path."""
        return self.dataset if isinstance(self.dataset, str) else snake_case(type(self.dataset).__name__)
