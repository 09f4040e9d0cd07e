"""Every layer known by name: importing this module fills the registry, entry points of other packages included."""

from importlib.metadata import entry_points

from cnncli.layers import convolution, core, merging, pooling
from cnncli.layers.layer import LAYERS, Layer

BUILT_IN = (convolution, core, merging, pooling)


def layers() -> dict[str, type[Layer]]:
    """The layers by class name, those of installed packages (entry-point group "cnncli.layers") included."""
    for point in entry_points(group="cnncli.layers"):
        point.load()
    return dict(sorted(LAYERS.classes.items()))
