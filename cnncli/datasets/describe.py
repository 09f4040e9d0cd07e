"""What a data source holds, found out without NumPy and without reading the data."""

from dataclasses import dataclass
from difflib import get_close_matches
from math import floor
from pathlib import Path

from cnncli.datasets.archive import SplitHeaders, headers, splits
from cnncli.datasets.files import shipped
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError, DeclarationError

EMBEDDED = {"mnist5k": ("mnist5k.npz", 10)}
"""Datasets that are shipped: their file, and how many classes they have."""
DOWNLOADED = ("mnist", "fashion_mnist", "kmnist", "emnist", "cifar10", "cifar100", "svhn", "stl10")
"""Datasets that a user may well name, and that are not shipped."""


@dataclass(frozen=True)
class Description:
    """`source` is a name or an absolute path; `input_shape` is (H, W, C); `classes` is None until labels are read.

    `samples` has the number of images by "train", "validation", "test", those that there are.
    """

    source: str
    input_shape: tuple[int, ...]
    classes: int | None
    samples: dict[str, int]
    dtype: str


@dataclass(frozen=True)
class Source:
    """A dataset that was found: its name or absolute path, its file, and its classes where they are known."""

    name: str
    file: Path
    classes: int | None = None


def describe(data: DataSection, base: Path) -> Description:
    """What `data` names; relative paths are relative to `base`.

    Raises DeclarationError for a name or file that is not known, or an option that does not go with the data;
    CnncliError for a file that can't be read.
    """
    source = find(data.dataset, base)
    labelled = data.targets == "labels"
    found = splits(source.file, headers(source.file), labelled=labelled)
    counts = sizes(data, source, found)
    first = next(iter(found.values())).x
    shape = first.shape[1:] if len(first.shape) == 4 else (*first.shape[1:], 1)
    return Description(source.name, shape, source.classes if labelled else None, counts, first.dtype)


def find(dataset: str, base: Path) -> Source:
    """The file behind a name or a path. Raises DeclarationError, with what is near, where there is none."""
    if dataset in EMBEDDED:
        name, classes = EMBEDDED[dataset]
        return Source(dataset, shipped("data") / name, classes)
    path = (base / dataset).resolve()
    if dataset.endswith(".npz"):
        if not path.is_file():
            near = _near(path.name, [file.name for file in path.parent.glob("*.npz")])
            raise DeclarationError(f"no file {dataset!r} in {path.parent}{near}")
        return Source(str(path), path)
    if dataset in DOWNLOADED:
        raise DeclarationError(
            f"{dataset!r} is known, but this version does not download yet; `mnist5k` holds 5,000 of MNIST's digits"
        )
    if path.exists():
        kind = "folders of images are" if path.is_dir() else f"{path.suffix or 'such'} files are"
        raise DeclarationError(f"a dataset must be a known name or a .npz file; {kind} not read by this version")
    near = _near(dataset, [*EMBEDDED, *DOWNLOADED, *(file.name for file in base.glob("*.npz"))])
    raise DeclarationError(f"unknown dataset {dataset!r}{near or '; known are mnist5k and files ending in .npz'}")


def sizes(data: DataSection, source: Source, found: dict[str, SplitHeaders]) -> dict[str, int]:
    """The number of images of each split once `validation_split` is taken off the training rows (as Keras does)."""
    counts = {name: split.count for name, split in found.items()}
    if not data.validation_split:
        return counts
    if "validation" in counts:
        raise DeclarationError(
            f"validation_split must be left out where the data has its own x_val; received {data.validation_split}"
        )
    if "train" not in counts:
        raise CnncliError(f"{source.name}: validation_split needs x_train, which the file does not have")
    kept = floor(counts["train"] * (1 - data.validation_split))
    if not 0 < kept < counts["train"]:
        raise DeclarationError(
            f"validation_split must leave training and validation at least one of {counts['train']:,} images each; "
            f"received {data.validation_split}"
        )
    counts = {"train": kept, "validation": counts["train"] - kept, **counts}
    counts["train"] = kept
    return counts


def _near(name: str, known: list[str]) -> str:
    matches = get_close_matches(name, known, 1)
    return f"; did you mean {matches[0]!r}?" if matches else ""
