"""Data of a command: downloading, locating a run's data, warnings."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnncli.datasets.problems import few_classes, listed
from cnncli.datasets.section import DataSection, Targets
from cnncli.datasets.sources.catalogue import KNOWN
from cnncli.errors import CnncliError, UsageError
from cnncli.training.events import Download, Notice, OnEvent, Progress
from cnncli.training.resources.threads import settle

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

    from cnncli.datasets.dataset import Dataset, Split
    from cnncli.spec.spec import Spec

OFFLINE = "CNNCLI_OFFLINE"


def is_offline(offline: bool | None) -> bool:
    """Whether downloads are disabled: `offline`, or else CNNCLI_OFFLINE."""
    return os.environ.get(OFFLINE, "").lower() in ("1", "true", "yes", "on", "t", "y") if offline is None else offline


def obtain(data: DataSection, on_event: OnEvent, *, offline: bool | None) -> None:
    """Download the dataset that `data` names, unless it is local or already downloaded.

    Raises CnncliError on failure; makes no request if `offline`.
    """
    if data.name not in KNOWN:
        return
    from cnncli.datasets.sources import download

    download.fetch(
        KNOWN[data.name],
        offline=is_offline(offline),
        follow=lambda file, count: on_event(Download(file.name, count, file.size)),
    )


def refuse_moved(data: DataSection, command: str) -> None:
    """Raise UsageError if a run's data no longer exist at their path; `command` accepts --data."""
    path = Path(data.name)
    if path.is_absolute() and not path.exists():
        raise UsageError(f"'{path}' is no longer there: `{command} --data SOURCE` says where the data are now")


def decoding(on_event: OnEvent) -> Callable[[int, int], None]:
    """Callback that reports the number of decoded image files."""
    return counting("decoding images, once", on_event)


def counting(what: str, on_event: OnEvent) -> Callable[[int, int], None]:
    """Callback that reports progress."""
    return lambda done, total: on_event(Progress(f"{what}: {done:,} of {total:,}" if done < total else ""))


def skipped(dataset: "Dataset") -> Iterator[Notice]:
    """What was understood of the data, and a warning about skipped files, if any."""
    for note in dataset.notes:
        yield Notice(f"{dataset.source}: {note}")
    if dataset.skipped:
        count = len(dataset.skipped)
        yield Notice("\n".join([f"{count:,} file{'s' * (count > 1)} skipped:", *listed(dataset.skipped)]), "warning")


def oddities(dataset: "Dataset", targets: Targets) -> Iterator[Notice]:
    """Warnings about data that make metrics misleading: skipped files, images in several splits, missing classes."""
    from cnncli.datasets.splits.stratify import untrained

    yield from skipped(dataset)
    if groups := dataset.in_several_splits:
        count = len(groups)
        head = f"{count:,} image{'s' * (count > 1)} in more than one split, with equal pixels at the model's size:"
        found = listed([" = ".join(group) for group in groups])
        text = "\n".join([head, *found, "  metrics on images that were trained on are too optimistic"])
        yield Notice(text, "warning")
    if shared := dataset.groups_in_several_splits:
        count = len(shared)
        found = listed([f"{group} in {', '.join(splits)}" for group, splits in shared.items()])
        head = f"{count:,} group{'s' * (count > 1)} in more than one split:"
        tail = "  metrics on images of a group that was trained on are too optimistic"
        yield Notice("\n".join([head, *found, tail]), "warning")
    for split, names in untrained(dataset.splits, dataset.classes).items():
        yield Notice(f"{split} images show {few_classes(names)}, which no training image shows", "warning")
    if targets == "labels":
        yield from without_class(dataset.splits, dataset.classes)


def without_class(splits: "Mapping[str, Split]", classes: Sequence[str], known: Sequence[str] = ()) -> Iterator[Notice]:
    """Warnings about splits without an image of some class that is trained on, or else of the `known` ones."""
    from cnncli.datasets.splits.stratify import lacking

    for split, names in lacking(splits, classes, known).items():
        about = "them" if len(names) > 1 else "it"
        yield Notice(f"no {split} image shows {few_classes(names)}; metrics tell nothing about {about}", "warning")


def augmented_images(
    spec: "Spec", on_event: OnEvent, *, images: int, draws: int, offline: bool | None
) -> "NDArray[uint8]":
    """Training images of a spec as they are, and `draws` times as augmented: uint8 (1 + draws, images, H, W, C).

    Without augmentation only the former. Raises CnncliError if there are no training images.
    """
    obtain(spec.data, on_event, offline=offline)
    settle(None)
    from cnncli.datasets.inspect import preview
    from cnncli.datasets.load import load
    from cnncli.training.cautions import of_ranges

    base = spec.path.parent if spec.path else Path()
    dataset = load(
        spec.data,
        base,
        seed=spec.seed,
        progress=decoding(on_event),
        input_shape=spec.model.input_shape,
        void=spec.compile.loss.void,
    )
    if dataset.train is None:
        raise CnncliError(f"{dataset.source}: there are no training images")
    for caution in of_ranges(spec.data, dataset.train):
        on_event(Notice(caution, "warning"))
    drawn = draws if spec.data.augment else 0
    return preview.rows(dataset.train, spec.data.augment, spec.seed, images=images, draws=drawn)
