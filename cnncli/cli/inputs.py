"""The arguments [MODEL] INPUT...: images, folders of images and arrays, after a model that may be left out."""

from collections.abc import Sequence
from pathlib import Path

from cnncli import hints
from cnncli.datasets.sources.image_names import ENDINGS, READ
from cnncli.errors import UsageError
from cnncli.hints import suggestion
from cnncli.training.runs.past_runs import model_files

TABLE = ".csv"
INPUTS = (*ENDINGS, ".npy", TABLE)


def split(paths: Sequence[Path], command: str) -> tuple[Path | None, Sequence[Path]]:
    """Split the paths into the model, if the first one is a model, and the inputs. Raises UsageError without inputs."""
    first, *others = paths
    if others and _is_input(first) and any(path.suffix == hints.MODEL_ENDING or model_files(path) for path in others):
        raise UsageError(f"the model comes first: cnncli {command} MODEL INPUT...; received {first}")
    if _is_input(first) or (not others and not first.exists()):
        return None, paths
    if not others:
        raise UsageError(
            f"{command} needs an INPUT after the model: an image, a folder of images or a .npy; received {first} alone"
        )
    return first, others


def _is_input(path: Path) -> bool:
    """Whether a path is an image, an array or a folder of images, rather than a model."""
    if path.suffix.lower() in INPUTS and not path.is_dir():
        return True
    if not path.is_dir() or hints.is_run(path) or model_files(path):
        return False
    from cnncli.datasets.images.inputs import holds_images

    return holds_images(path)


def check_inputs(inputs: Sequence[Path], *, tables: bool = False) -> None:
    """Validate the command line before reading a model; `tables` of images may be given. Raises UsageError."""
    for path in inputs:
        if not path.exists():
            raise UsageError(f"there is no file or folder '{path}'{suggestion(str(path), _beside(path))}")
        if path.suffix in (".npz", ".h5", ".hdf5") or (path.suffix.lower() == TABLE and not tables):
            raise UsageError(f"an INPUT must be an image, a folder of images or one array (.npy); received {path}")
        if path.is_dir():
            from cnncli.datasets.images.inputs import holds_images

            if not holds_images(path):
                raise UsageError(f"{path}: a folder must have at least one image ({READ})")


def _beside(path: Path) -> list[str]:
    """Candidates for INPUT in the parent folder of `path`."""
    found = sorted(path.parent.glob("[!.]*"))
    return [str(other) for other in found if other.suffix.lower() in INPUTS or other.is_dir()]
