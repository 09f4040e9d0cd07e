"""Importing networks of other frameworks: a file becomes a folder with a spec and a model file."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from cnncli.api.targets import carried_spec, find_model
from cnncli.errors import CnncliError, UsageError, reason
from cnncli.hints import MODEL_ENDING
from cnncli.spec.spec import Spec, load, parse
from cnncli.system.atomic import write
from cnncli.training.runs import model_file
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
HDF5 = (".h5", ".hdf5")
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
    spec: "PathLike | None" = None,
    classes: Sequence[str] = (),
    image_size: Size | None = None,
) -> ImportedModel:
    """Import a network with its weights, and write a spec and a model file into a new folder.

    path: a Keras archive (.keras), an older Keras model (.h5) or an ONNX file (.onnx); or weights alone (.weights.h5,
    .h5, .safetensors) for the network of `spec`. changes: of the spec's `data`, as `--set` takes them
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
    data: dict[str, object] = {}
    if spec is not None:
        given = load(Path(spec), check_data=False)
        found, data = _weights(source, given), _data(given, folder)
    else:
        from cnncli.interop.incoming.network import imported, with_output

        draft, refusals = _reader(source)(source, image_size)
        found = with_output(imported(source, draft, refusals))
        data = dict(found.data)
    text, made = _spec(found, source, folder, data, changes)
    _check_classes(classes, found.lowered.output.shape[-1])
    _write(folder, text, _parsed(text, folder, ["model.freeze=[]"]), found, classes)
    return ImportedModel(
        folder, made, len(found.model.nodes), sum(array.size for array in found.weights.values()), found.notes
    )


def _ending(path: Path) -> str:
    """The ending of a file that exists and may be read. Raises UsageError for others."""
    ending = path.suffix.lower()
    if ending in PICKLES:
        what = "a .keras archive, ONNX, or the weights as safetensors"
        raise UsageError(f"{path}: {PICKLED.format(what)}")
    if not path.exists():
        raise UsageError(f"there is no file '{path}'")
    return ending


def _weights(path: Path, given: Spec) -> "Imported":
    """The network of a spec with the weights of a file."""
    ending = _ending(path)
    from cnncli.interop.incoming.onto import counted, onto
    from cnncli.interop.incoming.text import brief
    from cnncli.interop.keras.config import snake_case

    numbered = counted({node.name: snake_case(type(node.layer).__name__) for node in given.model.nodes})
    if ending in HDF5:
        from cnncli.interop.keras.weight_files import layers

        found = onto(path, given.model, layers(path), numbered)
    elif ending == MODEL_ENDING:
        from cnncli.interop.incoming import tensors

        found = onto(path, given.model, tensors.layers(tensors.read(path)), numbered)
    else:
        raise UsageError(f"{path}: with --spec import reads weights (.weights.h5, .h5, .safetensors)")
    return replace(found, compiled=brief(given.compile))


def _reader(path: Path) -> Reader:
    """What reads the file, by its ending."""
    ending = _ending(path)
    if ending == ".keras":
        from cnncli.interop.keras.reading import read

        return read
    if ending == ".onnx":
        from cnncli.interop.onnx.reading import read as read_onnx

        return read_onnx
    if ending in HDF5:
        from cnncli.interop.keras.weight_files import read as read_hdf5

        return read_hdf5
    if ending == MODEL_ENDING:
        if _is_own(path):
            raise UsageError(f"{path}: is a model file of cnncli, which every command takes as it is")
        from cnncli.interop.torch.reading import read as read_torch

        return read_torch
    raise UsageError(f"{path}: import reads .keras, .h5, .onnx and .safetensors; received {ending or 'no ending'}")


def _refuse_used(folder: Path) -> None:
    try:
        used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise CnncliError(f"{folder}: can't be read: {reason(error)}") from None
    if used:
        raise UsageError(f"-o must be a new or empty folder; '{folder}' exists")


def _data(given: Spec, folder: Path) -> dict[str, object]:
    """The `data` of a spec for another folder, to which paths are relative."""
    from cnncli.interop.incoming.text import brief

    found = {"rescale": given.data.rescale, **brief(given.data)}
    dataset = given.data.dataset
    if isinstance(dataset, str) and given.path is not None and (given.path.parent / dataset).exists():
        found["dataset"] = os.path.relpath((given.path.parent / dataset).resolve(), folder.resolve())
    return found


def _spec(
    found: "Imported", source: Path, folder: Path, data: Mapping[str, object], changes: list[str]
) -> tuple[str, Spec]:
    """The text of the spec, and the spec. `data`: keys of that section, if they are known."""
    from cnncli.interop.incoming.text import brief, spec_text

    def text(data: Mapping[str, object]) -> str:
        return spec_text(found, name=folder.resolve().name or "imported", weights=MODEL_FILES[0], head=head, data=data)

    head = f"Imported from {source.name}. It begins with the weights in {MODEL_FILES[0]}."
    spec = _parsed(text(data), folder, changes)
    if not changes:
        return text(data), spec
    changed = text({"rescale": "auto", **brief(spec.data)})
    return changed, _parsed(changed, folder, ())


def _parsed(text: str, folder: Path, changes: Iterable[str]) -> Spec:
    return parse(text, str(folder / SPEC), changes, check_data=False)


def _check_classes(classes: Sequence[str], outputs: int) -> None:
    count = max(2, outputs)
    if classes and (len(classes) != count or len(set(classes)) < count or not all(classes)):
        raise UsageError(f"there must be a different name for each of the {count:,} classes; received {len(classes):,}")


def _write(folder: Path, text: str, spec: Spec, found: "Imported", classes: Sequence[str]) -> None:
    """Write both files, or nothing. `spec`: that of the file itself, in which nothing is frozen beyond what it says."""
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


@dataclass(frozen=True)
class Base:
    """A network to begin another one with: its spec, and its model file."""

    spec: Spec
    file: Path


def open_base(path: "PathLike", folder: Path) -> Base:
    """A trained or imported network; a file of another framework is imported into the new folder first.

    Raises UsageError and CnncliError as `import_model`, and for a folder without a model.
    """
    source = Path(path)
    if source.is_dir():
        file = find_model(source).file
    elif source.suffix == MODEL_ENDING and _is_own(source):
        file = source
    else:
        file = import_model(source, folder).path / MODEL_FILES[0]
    return Base(carried_spec(model_file.about(file), training=False), file)


def _is_own(path: Path) -> bool:
    """Whether it is a model file of ours."""
    with suppress(CnncliError):
        return bool(model_file.about(path).texts)
    return False


def next_steps(found: ImportedModel) -> Iterator[str]:
    """Commands to go on with."""
    folder = quote(str(found.path))
    yield f"next  cnncli summary {folder}"
    yield f"      cnncli predict {folder} IMAGE"
    yield f"      cnncli train {quote(str(found.path / SPEC))} --data photos/"
