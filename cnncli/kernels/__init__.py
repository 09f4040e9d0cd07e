"""The ground floor: arrays and addresses in, arrays out; Numba, llvmlite and NumPy only.

Loaded lazily: `from cnncli import kernels` costs nothing, the first attribute imports Numba. That is what lets a spec
be checked and summarized without it.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import cnncli.kernels.activations as activations
    import cnncli.kernels.affine as affine
    import cnncli.kernels.arithmetic as arithmetic
    import cnncli.kernels.axes as axes
    import cnncli.kernels.batch_normalization as batch_normalization
    import cnncli.kernels.batch_normalization_gradient as batch_normalization_gradient
    import cnncli.kernels.blur as blur
    import cnncli.kernels.clipping as clipping
    import cnncli.kernels.colour as colour
    import cnncli.kernels.constraints as constraints
    import cnncli.kernels.conv2d as conv2d
    import cnncli.kernels.conv2d_gradient as conv2d_gradient
    import cnncli.kernels.conv_pool as conv_pool
    import cnncli.kernels.conv_pool_gradient as conv_pool_gradient
    import cnncli.kernels.dense as dense
    import cnncli.kernels.depthwise as depthwise
    import cnncli.kernels.dropout as dropout
    import cnncli.kernels.epilogue as epilogue
    import cnncli.kernels.erase as erase
    import cnncli.kernels.fold as fold
    import cnncli.kernels.gather as gather
    import cnncli.kernels.global_max as global_max
    import cnncli.kernels.levels as levels
    import cnncli.kernels.losses as losses
    import cnncli.kernels.merge as merge
    import cnncli.kernels.mix as mix
    import cnncli.kernels.optimizers as optimizers
    import cnncli.kernels.penalties as penalties
    import cnncli.kernels.pooling as pooling
    import cnncli.kernels.random as random
    import cnncli.kernels.reduce as reduce
    import cnncli.kernels.resample as resample
    import cnncli.kernels.softmax as softmax
    import cnncli.kernels.tone as tone
    import cnncli.kernels.winograd as winograd
    import cnncli.kernels.winograd_gradient as winograd_gradient

__all__ = [
    "activations",
    "affine",
    "arithmetic",
    "axes",
    "batch_normalization",
    "batch_normalization_gradient",
    "blur",
    "clipping",
    "colour",
    "constraints",
    "conv2d",
    "conv2d_gradient",
    "conv_pool",
    "conv_pool_gradient",
    "dense",
    "depthwise",
    "dropout",
    "epilogue",
    "erase",
    "fold",
    "gather",
    "global_max",
    "levels",
    "losses",
    "merge",
    "mix",
    "optimizers",
    "penalties",
    "pooling",
    "random",
    "reduce",
    "resample",
    "softmax",
    "tone",
    "winograd",
    "winograd_gradient",
]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
