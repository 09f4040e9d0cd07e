"""Trained models as files of other programs."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from cnncli.api.networks import check
from cnncli.api.trained import Trained
from cnncli.api.training import warnings_only
from cnncli.errors import UsageError
from cnncli.interop.exports.exported import Exported, ExportOptions
from cnncli.interop.exports.formats import Format, format_of
from cnncli.notices import warn
from cnncli.system import atomic

if TYPE_CHECKING:
    from cnncli.api.model import Model
    from cnncli.api.runs import Run

SLOT = "optimizer/"
"""Prefix of the optimizer's state in a checkpoint."""
PathLike = str | os.PathLike[str]


def export(
    model: "PathLike | Run | Model",
    path: PathLike,
    format: str | None = None,
    *,
    weights: Literal["best", "last"] | None = None,
    fold: bool = True,
    nhwc: bool = False,
    preprocessing: bool = False,
    int8: bool = False,
    force: bool = False,
) -> Path:
    """Write a trained model as a file of another program, and return its path.

    model: as for `load`, or what that returned. path: the file, or the folder of a format that has several files.
    format: its name, as listed by `cnncli export --help`; default: that of the suffix. weights: "best" or "last" of a
    run. fold: fold normalizations into the layers before them. nhwc: images are channels last. preprocessing: the graph
    takes uint8 images and returns probabilities. int8: compute in int8. force: replace an existing file.

    Raises UsageError if there is no such model or format, if the file exists, for layers or options that the format
    does not have; CnncliError if it can't be written.
    """
    from cnncli.api.model import Model, load

    trained = model if isinstance(model, Model) else load(model, weights)
    options = ExportOptions(fold, nhwc, preprocessing, int8)
    return export_model(trained, Path(path), format, options, force=force).paths[0]


class Written(NamedTuple):
    """What was written: the files, or a folder, and lines about them."""

    paths: Sequence[Path]
    told: Sequence[str]


def export_model(model: Trained, path: Path, name: str | None, options: ExportOptions, *, force: bool) -> Written:
    """As `export`, of a loaded model."""
    found = format_of(path, name)
    found.check(options)
    paths = found.files(path)
    for file in paths:
        _check_free(file, found, force=force)
    from cnncli.training.decisions.decision import KEY
    from cnncli.training.state import State

    check(model.file, model.spec)
    decision = model.file.metadata.get(KEY, "")
    if decision:
        warn("the decisions of `calibrate` become metadata, where the format has any; outputs are as without them")
    exported = Exported(
        *(model.spec, model.file.weights, model.classes, model.meaning, model.rescale, model.form),
        decision=decision,
        stem=paths[0].stem,
        dataset=lambda: model.read(None, offline=None, on_event=warnings_only)[1],
        slots={name.removeprefix(SLOT): array for name, array in model.file.extra.items() if name.startswith(SLOT)},
        progress=model.file.about.value("state", State) if "state" in model.file.metadata else None,
    )
    made = found.export(exported, options)
    if isinstance(made, bytes):
        atomic.write(path, made)
    elif found.several:
        for file in paths:
            atomic.write(file, made[file.suffix])
    else:
        atomic.write_folder(path, made)
    return Written(paths, exported.told)


def _check_free(path: Path, found: Format, *, force: bool) -> None:
    """Raise UsageError if something exists that may not be replaced, or can't be."""
    if path.exists() and not force:
        raise UsageError(f"'{path}' exists; overwrite it with --force, or choose another name with -o FILE")
    if path.is_dir() and found.suffixes:
        raise UsageError(f"'{path}' is a directory; {found.title} is a file")
    if path.is_file() and not found.suffixes:
        raise UsageError(f"'{path}' is a file; {found.title} is a folder")
