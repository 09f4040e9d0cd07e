"""What a data source holds, found out without NumPy and without reading the data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import floor
from pathlib import Path

from cnncli.datasets.files import shipped
from cnncli.datasets.known import KNOWN, Known
from cnncli.datasets.section import DataSection
from cnncli.datasets.synthetic import Source, Synthetic
from cnncli.errors import DeclarationError


@dataclass(frozen=True)
class Description:
    """`source` is a name, an absolute path, or a dataset with all its arguments: what a resolved spec says of it.

    `input_shape` is (H, W, C); `classes` is None until labels are read; `samples` has the number of images by "train",
    "validation", "test", those that there are.
    """

    source: str | Source
    input_shape: tuple[int, ...]
    classes: int | None
    samples: dict[str, int]
    dtype: str


EMBEDDED = {"mnist5k": Description("mnist5k", (28, 28, 1), 10, {"train": 4000, "test": 1000}, "uint8")}
"""Datasets that are shipped as `data/<name>.npz`; written out, because to open an archive would cost `check` 10 ms."""


@dataclass(frozen=True)
class Found:
    """A dataset that was found: its name or absolute path, and its file."""

    name: str
    file: Path


def describe(data: DataSection, base: Path, input_shape: tuple[int, ...] | None = None) -> Description:
    """What `data` names; relative paths are relative to `base`. Data that are made follow the model's `input_shape`.

    Raises DeclarationError for a name or file that is not known, or an option that does not go with the data;
    CnncliError for a file that can't be read.
    """
    labelled = data.targets == "labels"
    if isinstance(data.dataset, Synthetic):
        known = _made(data.dataset.settled(input_shape))
    elif data.name in KNOWN:
        known = _downloaded(KNOWN[data.name])
    else:
        source = find(data.name, base)
        known = EMBEDDED.get(source.name) or _described(source, labelled=labelled)
    return replace(
        known, classes=known.classes if labelled else None, samples=sizes(known.samples, data.validation_split)
    )


def _made(dataset: Synthetic) -> Description:
    assert dataset.image_shape is not None
    return Description(dataset, dataset.image_shape, dataset.classes, dataset.samples, "uint8")


def _downloaded(known: Known) -> Description:
    return Description(known.name, known.input_shape, len(known.classes), dict(known.samples), "uint8")


def _described(source: Found, *, labelled: bool) -> Description:
    from cnncli.datasets import archive  # here, because it needs zipfile: see EMBEDDED

    found = archive.splits(source.file, archive.headers(source.file), labelled=labelled)
    first = next(iter(found.values())).x
    return Description(
        source.name, image_shape(first.shape), None, {name: split.count for name, split in found.items()}, first.dtype
    )


def image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(H, W, C) of images (N, H, W) or (N, H, W, C)."""
    return shape[1:] if len(shape) == 4 else (*shape[1:], 1)


def find(dataset: str, base: Path) -> Found:
    """The file behind a name or a path. Raises DeclarationError, with what is near, where there is none."""
    if dataset in EMBEDDED:
        return Found(dataset, shipped("data") / f"{dataset}.npz")
    path = (base / dataset).resolve()
    if dataset.endswith(".npz"):
        if not path.is_file():
            if path.exists():
                raise DeclarationError(f"a dataset must be a known name or a .npz file; {dataset!r} is a folder")
            near = _near(path.name, [file.name for file in path.parent.glob("*.npz") if file.is_file()])
            raise DeclarationError(f"no file {dataset!r} in {path.parent}{near}")
        return Found(str(path), path)
    if path.exists():
        kind = "folders of images are" if path.is_dir() else f"{path.suffix or 'such'} files are"
        raise DeclarationError(f"a dataset must be a known name or a .npz file; {kind} not read by this version")
    names = [*EMBEDDED, *KNOWN, "synthetic"]
    near = _near(dataset, [*names, *(file.name for file in base.glob("*.npz"))])
    known = f"; known are {', '.join(names)} and files ending in .npz"
    raise DeclarationError(f"unknown dataset {dataset!r}{near or known}")


def sizes(counts: Mapping[str, int], validation_split: float) -> dict[str, int]:
    """The number of images of each split once `validation_split` is taken off the training rows (as Keras does)."""
    if not validation_split or "train" not in counts:
        return dict(counts)
    if "validation" in counts:
        raise DeclarationError(
            f"validation_split must be left out where the data has its own x_val; received {validation_split}",
            key="validation_split",
        )
    total = counts["train"]
    kept = floor(total * (1 - validation_split))
    if not 0 < kept < total:
        raise DeclarationError(
            f"validation_split must leave training and validation at least one of {total:,} images each; "
            f"received {validation_split}",
            key="validation_split",
        )
    return {"train": kept, "validation": total - kept} | {key: counts[key] for key in counts if key != "train"}


def _near(name: str, known: list[str]) -> str:
    matches = get_close_matches(name, known, 1)
    return f"; did you mean {matches[0]!r}?" if matches else ""
