"""Importing networks of other frameworks: a file becomes a folder with a spec and a model file."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from cnncli.errors import CnncliError, UsageError, reason
from cnncli.spec.spec import Spec, parse
from cnncli.system.atomic import write
from cnncli.training.runs.past_runs import MODEL_FILES, SPEC

if TYPE_CHECKING:
    from cnncli.api.training import PathLike
    from cnncli.interop.incoming.draft import Draft, Refusals
    from cnncli.interop.incoming.network import Imported

Size = tuple[int, int]
Reader = Callable[[Path, Size | None], "tuple[Draft, Refusals]"]
CHANGED = "data."
"""The section that changes may be of: the network and its weights are the file's."""
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib")
PICKLED = "such files can run code when they are read: save {} instead"


@dataclass(frozen=True)
class ImportedModel:
    """What an import wrote. `path`: the folder, a MODEL for every command. `spec`: the spec in it. `layers`,
    `parameters`: how many it has. `notes`: what was not taken over.
    """

    path: Path
    spec: Spec
    layers: int
    parameters: int
    notes: tuple[str, ...] = ()


def import_model(
    path: "PathLike",
    output: "PathLike",
    changes: Iterable[str] = (),
    *,
    classes: Sequence[str] = (),
    image_size: Size | None = None,
) -> ImportedModel:
    """Import a network with its weights, and write a spec and a model file into a new folder.

    path: a Keras archive (.keras) or an ONNX file (.onnx). changes: of the spec's `data`, as `--set` takes them
    ("data.rescale=1"). classes: names of the classes, in the order of the outputs. image_size: height and width of the
    images, if the network leaves them open.

    Raises UsageError that lists every layer that can't be imported, CnncliError for a damaged file; nothing is written
    then.
    """
    source, folder = Path(path), Path(output)
    _refuse_used(folder)
    changes = list(changes)
    if other := next((change for change in changes if not change.startswith(CHANGED)), None):
        raise UsageError(f"import changes keys of `data` only, such as data.rescale=1; received {other}")
    draft, refusals = _reader(source)(source, image_size)
    from cnncli.interop.incoming.network import imported, with_output

    found = with_output(imported(source, draft, refusals))
    text, spec = _spec(found, source, folder, changes)
    _check_classes(classes, found.lowered.output.shape[-1])
    _write(folder, text, spec, found, classes)
    return ImportedModel(
        folder, spec, len(found.model.nodes), sum(array.size for array in found.weights.values()), found.notes
    )


def _reader(path: Path) -> Reader:
    """What reads the file, by its ending."""
    ending = path.suffix.lower()
    if ending in PICKLES:
        what = "a .keras archive, ONNX, or the weights as safetensors"
        raise UsageError(f"{path}: {PICKLED.format(what)}")
    if not path.exists():
        raise UsageError(f"there is no file '{path}'")
    if ending == ".keras":
        from cnncli.interop.keras.reading import read

        return read
    if ending == ".onnx":
        from cnncli.interop.onnx.reading import read as read_onnx

        return read_onnx
    raise UsageError(f"{path}: import reads .keras and .onnx; received {ending or 'no ending'}")


def _refuse_used(folder: Path) -> None:
    try:
        used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise CnncliError(f"{folder}: can't be read: {reason(error)}") from None
    if used:
        raise UsageError(f"-o must be a new or empty folder; '{folder}' exists")


def _spec(found: "Imported", source: Path, folder: Path, changes: list[str]) -> tuple[str, Spec]:
    """The text of the spec, and the spec."""
    from cnncli.interop.incoming.text import brief, spec_text

    def text(data: Mapping[str, object]) -> str:
        return spec_text(found, name=folder.resolve().name or "imported", weights=MODEL_FILES[0], head=head, data=data)

    head = f"Imported from {source.name}. It begins with the weights in {MODEL_FILES[0]}."
    spec = _parsed(text({}), folder, changes)
    if not changes:
        return text({}), spec
    changed = text({"rescale": "auto", **brief(spec.data)})
    return changed, _parsed(changed, folder, ())


def _parsed(text: str, folder: Path, changes: Iterable[str]) -> Spec:
    return parse(text, str(folder / SPEC), changes, check_data=False)


def _check_classes(classes: Sequence[str], outputs: int) -> None:
    count = max(2, outputs)
    if classes and (len(classes) != count or len(set(classes)) < count or not all(classes)):
        raise UsageError(f"there must be a different name for each of the {count:,} classes; received {len(classes):,}")


def _write(folder: Path, text: str, spec: Spec, found: "Imported", classes: Sequence[str]) -> None:
    """Write both files, or nothing."""
    from cnncli.training.runs.checkpoint import ModelFile, save

    resolved = spec.resolved()
    resolved["model"].pop("weights")
    metadata = {
        "spec": json.dumps(resolved, ensure_ascii=False),
        "class_names": json.dumps(list(classes), ensure_ascii=False),
    }
    with _folder(folder):
        save(folder / MODEL_FILES[0], ModelFile(found.weights, metadata))
        write(folder / SPEC, text.encode())


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """A folder that is removed again, with what was written, if the block fails."""
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CnncliError(f"{folder}: can't be made: {reason(error)}") from None
    try:
        yield
    except BaseException:
        for name in (MODEL_FILES[0], SPEC):
            (folder / name).unlink(missing_ok=True)
        if made:
            folder.rmdir()
        raise


def next_steps(found: ImportedModel) -> Iterator[str]:
    """Commands to go on with."""
    folder = quote(str(found.path))
    yield f"next  cnncli summary {folder}"
    yield f"      cnncli predict {folder} IMAGE"
    yield f"      cnncli train {quote(str(found.path / SPEC))} --data photos/"
