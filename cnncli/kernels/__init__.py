"""Kernels: arrays and addresses in, arrays out; depends on Numba, llvmlite and NumPy only.

Loaded lazily: `from cnncli import kernels` imports nothing, the first attribute access imports Numba. Specs can
therefore be checked and summarized without it. `kernels.conv2d` is the module `conv2d` of whichever subpackage has it.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnncli.kernels.augment import affine as affine
    from cnncli.kernels.augment import blur as blur
    from cnncli.kernels.augment import brightness as brightness
    from cnncli.kernels.augment import chains as chains
    from cnncli.kernels.augment import clahe as clahe
    from cnncli.kernels.augment import colour as colour
    from cnncli.kernels.augment import elastic as elastic
    from cnncli.kernels.augment import erase as erase
    from cnncli.kernels.augment import levels as levels
    from cnncli.kernels.augment import mix as mix
    from cnncli.kernels.augment import perspective as perspective
    from cnncli.kernels.batch import gather as gather
    from cnncli.kernels.batch import random as random
    from cnncli.kernels.batch import reduce as reduce
    from cnncli.kernels.batch import shared as shared
    from cnncli.kernels.batch import valid as valid
    from cnncli.kernels.conv import conv2d as conv2d
    from cnncli.kernels.conv import conv2d_gradient as conv2d_gradient
    from cnncli.kernels.conv import conv_pool as conv_pool
    from cnncli.kernels.conv import conv_pool_gradient as conv_pool_gradient
    from cnncli.kernels.conv import depthwise as depthwise
    from cnncli.kernels.conv import depthwise_weights as depthwise_weights
    from cnncli.kernels.conv import expanded_depthwise as expanded_depthwise
    from cnncli.kernels.conv import separable as separable
    from cnncli.kernels.conv import winograd as winograd
    from cnncli.kernels.conv import winograd_gradient as winograd_gradient
    from cnncli.kernels.elementwise import activations as activations
    from cnncli.kernels.elementwise import arithmetic as arithmetic
    from cnncli.kernels.elementwise import axes as axes
    from cnncli.kernels.elementwise import broadcast as broadcast
    from cnncli.kernels.elementwise import cast as cast
    from cnncli.kernels.elementwise import dropout as dropout
    from cnncli.kernels.elementwise import log_softmax as log_softmax
    from cnncli.kernels.elementwise import merge as merge
    from cnncli.kernels.elementwise import softmax as softmax
    from cnncli.kernels.elementwise import sparsemax as sparsemax
    from cnncli.kernels.elementwise import weights as weights
    from cnncli.kernels.gemm import dense as dense
    from cnncli.kernels.gemm import epilogue as epilogue
    from cnncli.kernels.losses import loss_functions as loss_functions
    from cnncli.kernels.losses import orthogonal as orthogonal
    from cnncli.kernels.losses import penalties as penalties
    from cnncli.kernels.normalization import batch_normalization as batch_normalization
    from cnncli.kernels.normalization import batch_normalization_gradient as batch_normalization_gradient
    from cnncli.kernels.normalization import fold as fold
    from cnncli.kernels.normalization import group_normalization as group_normalization
    from cnncli.kernels.normalization import layer_normalization as layer_normalization
    from cnncli.kernels.optimizers import clipping as clipping
    from cnncli.kernels.optimizers import constraints as constraints
    from cnncli.kernels.optimizers import update_rules as update_rules
    from cnncli.kernels.pooling import global_max as global_max
    from cnncli.kernels.pooling import pool2d as pool2d
    from cnncli.kernels.pooling import resample as resample

ROOMS = {
    "augment": (
        *("affine", "blur", "brightness", "chains", "clahe", "colour"),
        *("elastic", "erase", "levels", "mix", "perspective"),
    ),
    "batch": ("gather", "random", "reduce", "shared", "valid"),
    "conv": (
        *("conv2d", "conv2d_gradient", "conv_pool", "conv_pool_gradient"),
        *("depthwise", "depthwise_weights", "expanded_depthwise", "separable", "winograd", "winograd_gradient"),
    ),
    "elementwise": (
        *("activations", "arithmetic", "axes", "broadcast", "cast", "dropout", "merge"),
        *("log_softmax", "softmax", "sparsemax", "weights"),
    ),
    "gemm": ("dense", "epilogue"),
    "losses": ("loss_functions", "orthogonal", "penalties"),
    "normalization": (
        "batch_normalization",
        "batch_normalization_gradient",
        "fold",
        "group_normalization",
        "layer_normalization",
    ),
    "optimizers": ("clipping", "constraints", "update_rules"),
    "pooling": ("global_max", "pool2d", "resample"),
}
"""Subpackage → its modules used by higher layers."""
PLACES = {module: f"{__name__}.{room}.{module}" for room, modules in ROOMS.items() for module in modules}


def __getattr__(name: str) -> ModuleType:
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(PLACES[name])
