"""Names and constants of activations, without their formulas, so that Numba is not needed.

An activation is written as "leaky_relu", or "leaky_relu(0.3)" with constants other than the defaults.
"""

from math import inf

CONSTANTS: dict[str, tuple[float, ...]] = {
    "relu": (),
    "relu6": (),
    "leaky_relu": (0.2,),
    "elu": (1.0,),
    "sigmoid": (),
    "hard_sigmoid": (),
    "tanh": (),
    "gelu": (),
    "silu": (),
    "hard_silu": (),
    "celu": (1.0,),
    "clipped_relu": (inf, 0.0, 0.0),
    "elu_of_input": (-1.0,),
    "exponential": (),
    "gelu_tanh": (),
    "hard_shrink": (0.5,),
    "hard_tanh": (),
    "log_sigmoid": (),
    "mish": (),
    "selu": (),
    "soft_shrink": (0.5,),
    "softplus": (),
    "softsign": (),
    "sparse_plus": (),
    "sparse_sigmoid": (),
    "squareplus": (4.0,),
    "tanh_shrink": (),
    "threshold": (0.0, -1.0),
}
"""The default constants of each activation; as in Keras where it has the activation and a default."""
OF_INPUT = frozenset(
    [
        *("gelu", "silu", "hard_silu", "clipped_relu", "elu_of_input", "gelu_tanh", "hard_tanh", "mish", "tanh_shrink"),
        "threshold",
    ]
)
"""Activations whose derivative is computed from the input; for all others it is computed from the output."""
OF_EITHER = frozenset(["relu", "relu6"])
"""Activations whose derivative has the same formula, and the same bits, of the input as of the output."""


def named(name: str, *constants: float) -> str:
    """Return the text of an activation with these constants."""
    return f"{name}({', '.join(map(repr, map(float, constants)))})"


def parts(kind: str) -> tuple[str, tuple[float, ...]]:
    """Parse a text into name and constants. Raises ValueError for a name that is not in CONSTANTS."""
    name, opened, constants = kind.removesuffix(")").partition("(")
    if name not in CONSTANTS:
        raise ValueError(f"activation must be one of {', '.join(CONSTANTS)}; received {kind!r}")
    return name, tuple(map(float, constants.split(","))) if opened else CONSTANTS[name]


def of_input(kind: str) -> bool:
    """Whether the derivative of an activation is computed from its input."""
    return parts(kind)[0] in OF_INPUT
