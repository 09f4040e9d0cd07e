"""Recognizes the layout of a dataset, by names only: each of a list of recognizers says yes, or no and why.

The best yes wins; several that are as good are a question; with none the nearest no is the error. To understand another
layout, add its recognizer to RECOGNIZERS.
"""

from collections.abc import Iterator
from pathlib import Path

from cnncli.datasets.layouts import array_files, detection, image_folders, mask_folders, masks_beside
from cnncli.datasets.layouts.place import No, Place, Recognizer, Yes
from cnncli.datasets.layouts.split_folders import WHOLE, split_folders, unwrapped
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Found
from cnncli.datasets.sources.image_names import ENDINGS as PICTURES
from cnncli.datasets.sources.image_names import UNREAD
from cnncli.errors import DeclarationError, reason

SOURCES = "a built-in name, a folder of images, or a file or folder of arrays (.npz, .npy, .h5, idx or .csv)"

ENDINGS = ".npz, .npy, .h5 or .csv"
RECOGNIZERS: tuple[Recognizer, ...] = (
    array_files.recognize,
    mask_folders.recognize,
    detection.recognize,
    masks_beside.recognize,
    image_folders.recognize,
)
SAVE = "save its arrays with np.savez('own.npz', x_train=…, y_train=…)"
ADVICE = {
    ".npy": "save arrays in one folder as x_train.npy, y_train.npy and optionally x_val.npy, … x_test.npy, …",
    ".mat": f"open it with scipy.io.loadmat, and {SAVE}",
    **dict.fromkeys((".pkl", ".pickle", ".joblib", ".pt", ".pth"), f"loading it may run code; if you trust it, {SAVE}"),
    **dict.fromkeys((".parquet", ".feather", ".arrow"), "open it with pandas, and save it with to_csv(…, index=False)"),
    **dict.fromkeys((".tfrecord", ".tfrecords"), f"open it with tensorflow.data.TFRecordDataset, and {SAVE}"),
    **dict.fromkeys((".xls", ".xlsx", ".ods", ".tsv", ".txt", ".json"), "save it as a comma-separated .csv file"),
    **dict.fromkeys(
        (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"), "unpack it and specify its contents"
    ),
    **dict.fromkeys(
        UNREAD,
        "save images as PNG or JPEG in one folder per class, and specify the parent folder",
    ),
    **dict.fromkeys(PICTURES, "put images into one folder per class, and specify the parent folder"),
}
"""How to convert unsupported files, by extension."""


def located(data: DataSection, base: Path) -> Found | None:
    """What lies at the path of `data`, relative to `base`, or in the one folder there; None where there is nothing.

    Raises DeclarationError, which says what to do, for what is there but is not read.
    """
    try:
        path = (base / data.name).resolve()
        there = path.exists()
    except (OSError, RuntimeError) as error:  # a name that is too long, links that lead in a circle
        raise DeclarationError(f"the dataset's path can't be resolved: {reason(error)}") from None
    if not there:
        return None
    return _judged(Place(_inner(path, data) if data.layout == "auto" else path, data))


def name_within(dataset: str, found: Found) -> str:
    """A dataset's name, with the folders within it that hold all."""
    outer = Path(dataset).resolve()
    inner = outer != found.file and found.kind == "folder" and found.file.is_relative_to(outer)
    return str(Path(dataset) / found.file.relative_to(outer)) if inner else dataset


def _inner(path: Path, data: DataSection) -> Path:
    """The folder that holds the data; images without labels may lie anywhere, unless there are splits."""
    if not path.is_dir():
        return path
    inner = unwrapped(path)
    scattered = data.targets == "input" and not mask_folders.names_masks(Place(inner, data))
    return path if scattered and split_folders(inner) == WHOLE else inner


def readable(place: Path) -> Iterator[str]:
    """The names in a folder that a dataset can be."""
    for entry in place.glob("*"):
        if entry.is_dir() or entry.suffix in (*array_files.ARCHIVES, ".csv") or array_files.is_named(entry.name):
            yield entry.name


def _judged(place: Place) -> Found:
    """The best of all layouts that are recognized."""
    answers = [answer for recognizer in RECOGNIZERS for answer in recognizer(place)]
    best = max((answer.rank for answer in answers if isinstance(answer, Yes)), default=0)
    found = [answer for answer in answers if isinstance(answer, Yes) and answer.rank == best]
    if len(found) > 1:
        choices = " or ".join(answer.choice for answer in found)
        raise DeclarationError(f"{place.path} contains several datasets: specify {choices} instead of the folder")
    if found:
        return found[0].found
    refused = [answer for answer in answers if isinstance(answer, No)]
    raise DeclarationError(max(refused, key=lambda answer: answer.near).why if refused else _unsupported(place))


def _unsupported(place: Place) -> str:
    """Why a file that nothing recognizes is no dataset."""
    ending = place.path.suffix.lower()
    todo = ADVICE.get(ending)
    return f"a dataset must be {SOURCES}; {ending or 'such'} files are not supported{f': {todo}' if todo else ''}"
