"""Finds the files of a dataset: a folder of images or array files, distinguished by name only."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cnncli.datasets.sources import folder, labels_csv
from cnncli.errors import CnncliError, DeclarationError, reason

SOURCES = "a built-in name, a folder of images, or a file or folder of arrays (.npz, .npy, idx or .csv)"

ENDINGS = ".npz, .npy or .csv"


@dataclass(frozen=True)
class Found:
    """A dataset that was found: its name or absolute path; `kind`, how it is read: "downloaded", "folder", "npz",
    "npy", "idx" or "csv"; and where: `file`, its file or its folder, and `files`, those of several by their keys.
    """

    name: str
    kind: str
    file: Path = Path()
    files: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """Files whose names say which array they hold. `example`: what they are called."""

    kind: str
    pattern: re.Pattern[str]
    example: str


AXES = {"x": "x", "y": "y", "images": "x", "labels": "y", "": "x"}
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "t10k": "test"}
"""What a file's name may say, and what the key of its array says."""
FORMATS = (
    Format("npy", re.compile(r"(?P<prefix>)(?P<axis>[xy])_(?P<split>\w+)\.npy"), "x_train.npy"),
    Format(
        "idx",
        re.compile(r"(?P<prefix>.*?)(?P<split>train|t10k|test|val)-(?P<axis>images|labels)[-.]idx[13]-ubyte(\.gz)?"),
        "train-images-idx3-ubyte",
    ),
    Format(
        "csv",
        re.compile(r"(?P<prefix>(.*[-_. ])?)(?P<split>train|val|valid|validation|test)(?P<axis>)\.csv"),
        "train.csv",
    ),
)
SAVE = "save its arrays with np.savez('own.npz', x_train=…, y_train=…)"
ADVICE = {
    ".npy": "save arrays in one folder as x_train.npy, y_train.npy and optionally x_val.npy, … x_test.npy, …",
    ".mat": f"open it with scipy.io.loadmat, and {SAVE}",
    **dict.fromkeys((".pkl", ".pickle", ".joblib", ".pt", ".pth"), f"loading it may run code; if you trust it, {SAVE}"),
    **dict.fromkeys((".h5", ".hdf5"), f"open it with h5py, and {SAVE}"),
    **dict.fromkeys((".parquet", ".feather", ".arrow"), "open it with pandas, and save it with to_csv(…, index=False)"),
    **dict.fromkeys((".tfrecord", ".tfrecords"), f"open it with tensorflow.data.TFRecordDataset, and {SAVE}"),
    **dict.fromkeys((".xls", ".xlsx", ".ods", ".tsv", ".txt", ".json"), "save it as a comma-separated .csv file"),
    **dict.fromkeys(
        (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"), "unpack it and specify its contents"
    ),
    **dict.fromkeys(
        folder.UNREAD,
        "save images as PNG or JPEG in one folder per class, and specify the parent folder",
    ),
    **dict.fromkeys(folder.ENDINGS, "put images into one folder per class, and specify the parent folder"),
}
"""How to convert unsupported files, by extension."""


def located(dataset: str, base: Path) -> Found | None:
    """What lies at a path, relative to `base`; None where there is nothing.

    Raises DeclarationError, which says what to do, for what is there but is not read.
    """
    try:
        path = (base / dataset).resolve()
        there, is_folder = path.exists(), path.is_dir()
    except (OSError, RuntimeError) as error:  # a name that is too long, links that lead in a circle
        raise DeclarationError(f"the dataset's path can't be resolved: {reason(error)}") from None
    if is_folder:
        return _in_folder(path)
    if not there:
        return None
    for form in FORMATS:
        if match := form.pattern.fullmatch(path.name):
            return Found(str(path), form.kind, path.parent, _siblings(path.parent, form, match["prefix"]))
    ending = path.suffix.lower()
    if ending == ".npz":
        return Found(str(path), "npz", path)
    if ending == ".csv":
        return Found(str(path), "csv", path.parent, {"x_train": path})
    todo = ADVICE.get(ending)
    said = f"{ending or 'such'} files are not supported{f': {todo}' if todo else ''}"
    raise DeclarationError(f"a dataset must be {SOURCES}; {said}")


def names_splits(found: Found) -> bool:
    """Whether a folder or a table says which of its images are for training, validation or the test."""
    if found.kind == "folder":
        return any(entry.is_dir() and entry.name.lower() in folder.SPLITS for entry in _entries(found.file))
    return found.kind != "csv" or any(
        form.pattern.fullmatch(file.name) for file in found.files.values() for form in FORMATS
    )


def readable(place: Path) -> Iterator[str]:
    """The names in a folder that a dataset can be."""
    for entry in place.glob("*"):
        if entry.is_dir() or entry.suffix in (".npz", ".csv") or any(f.pattern.fullmatch(entry.name) for f in FORMATS):
            yield entry.name


def _in_folder(path: Path) -> Found:
    entries = _entries(path)
    # A table may lie beside folders of images; the names of the other files can mean nothing else.
    images = any(entry.is_dir() or entry.name == labels_csv.TABLE for entry in entries)
    first: dict[tuple[str, str], tuple[Format, str]] = {}
    for form in FORMATS[:2] if images else FORMATS:
        for entry in entries:
            if match := form.pattern.fullmatch(entry.name):
                first.setdefault((form.kind, match["prefix"]), (form, entry.name))
    if len(first) > 1:
        names = " or ".join(name for _, name in first.values())
        raise DeclarationError(f"{path} contains several datasets: specify {names} instead of the folder")
    for (kind, prefix), (form, _) in first.items():
        return Found(str(path), kind, path, _siblings(path, form, prefix))
    if not images and not any(folder.is_picture(entry.name) for entry in entries):
        looked_for = f"folders of images, {labels_csv.TABLE}, {', '.join(form.example for form in FORMATS)}"
        inside = [name for name in sorted(readable(path)) if not (path / name).is_dir()]
        instead = f"; specify the file {inside[0]!r} in it" if inside else ""
        raise DeclarationError(f"{path} contains no dataset; expected one of {looked_for}{instead}")
    return Found(str(path), "folder", path)


def _entries(place: Path) -> list[Path]:
    try:
        return sorted(place.iterdir())
    except OSError as error:
        raise CnncliError(f"{place}: can't be read: {error.strerror or error}") from None


def _siblings(place: Path, form: Format, prefix: str) -> dict[str, Path]:
    """The files of a folder that belong together, by the keys of their arrays."""
    files: dict[str, Path] = {}
    for path in _entries(place):
        match = form.pattern.fullmatch(path.name)
        if match and match["prefix"] == prefix:
            key = f"{AXES[match['axis']]}_{SPLITS.get(match['split'], match['split'])}"
            if key in files:
                raise DeclarationError(f"{place}: {files[key].name} and {path.name} are both {key}; keep only one")
            files[key] = path
    return files
