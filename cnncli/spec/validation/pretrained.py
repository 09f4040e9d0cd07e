"""`weights` under `model`: the run or model file whose weights training starts from, read without NumPy."""

from collections.abc import Mapping
from pathlib import Path

from cnncli import hints
from cnncli.errors import CnncliError, DeclarationError
from cnncli.ops.ir import Shape
from cnncli.spec.validation.sections import Pretrained
from cnncli.training.runs import model_file
from cnncli.training.runs.past_runs import MODEL_FILES, model_files


def located(weights: Pretrained, base: Path) -> Pretrained:
    """With the absolute path of the file; `base`: the folder that it is relative to."""
    return weights.replace(file=str((base / weights.file).resolve()))


def shapes(weights: Pretrained) -> Mapping[str, Shape]:
    """The shapes of the file's weights by name, in its model's order; `weights`: located.

    A spec stands for its newest run, which is not looked for: there are no shapes then. Raises DeclarationError if
    there is no such run or model file, or its header can't be read.
    """
    path = Path(weights.file)
    if not path.exists():
        known = [*hints.runs(path.parent), *hints.models(path.parent)]
        raise DeclarationError(f"weights: {hints.missing(path, 'run or model file', known)}")
    if path.is_dir():
        found = model_files(path)
        if not found:
            raise DeclarationError(
                f"weights: '{path}' is no run with a model: it has no {' and no '.join(MODEL_FILES)}"
            )
        path = found[0]
    elif path.suffix in hints.SPEC_ENDINGS:
        return {}
    try:
        return model_file.shapes(path)
    except CnncliError as error:
        raise DeclarationError(f"weights: {error}") from None
