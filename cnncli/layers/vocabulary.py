"""All layers by name: importing this module fills the registry; `layers` adds those of installed packages."""

import sys
from functools import cache
from pathlib import Path

from cnncli.layers import (
    activations,
    convolution,
    core,
    depthwise,
    merging,
    noise,
    normalization,
    pooling,
    reshaping,
    resizing,
    transpose,
)
from cnncli.layers.layer import LAYERS, Layer

BUILT_IN = (
    *(activations, convolution, core, depthwise, merging, noise),
    *(normalization, pooling, reshaping, resizing, transpose),
)
GROUP = "cnncli.layers"


@cache
def layers() -> dict[str, type[Layer]]:
    """The layers by class name, including those of installed packages (entry-point group "cnncli.layers")."""
    if any(_mentions_group(Path(folder)) for folder in sys.path):
        from importlib.metadata import entry_points  # as slow as importing all layers: only if a package has layers

        for point in entry_points(group=GROUP):
            point.load()
    return dict(sorted(LAYERS.classes.items()))


def _mentions_group(folder: Path) -> bool:
    try:
        return any(
            f"[{GROUP}]" in file.read_text(encoding="utf-8", errors="replace")
            for pattern in ("*.dist-info", "*.egg-info")
            for file in folder.glob(f"{pattern}/entry_points.txt")
        )
    except OSError:
        return False
