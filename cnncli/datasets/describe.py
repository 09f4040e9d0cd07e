"""What a dataset holds, told without reading its arrays."""

from dataclasses import dataclass
from pathlib import Path

from cnncli.datasets.section import DataSection
from cnncli.errors import DeclarationError


@dataclass(frozen=True)
class Description:
    """A dataset's name or absolute path, the shape of one sample, its classes (None: unknown), and its rows a split."""

    source: str
    input_shape: tuple[int, ...]
    classes: int | None
    samples: dict[str, int]
    dtype: str


def describe(data: DataSection, base: Path) -> Description:
    """What `data` names, paths relative to `base`. Raises DeclarationError for a name that is not known."""
    del base
    if data.dataset != "mnist5k":
        raise DeclarationError(f"dataset must be a known name or a file; received {data.dataset!r}")
    return Description("mnist5k", (28, 28, 1), 10, {"train": 4000, "test": 1000}, "uint8")
