"""Activations by name, without their formulas: what may be known before Numba is loaded.

An activation is named by a text: "leaky_relu", or "leaky_relu(0.3)" with constants other than the usual ones.
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
    "clipped_relu": (inf, 0.0, 0.0),
}
"""The constants that each takes, and what they are where nothing is said; Keras' for those that it knows."""
OF_INPUT = frozenset({"gelu", "silu", "hard_silu", "clipped_relu"})
"""Those whose derivative is computed from their input; that of the others follows from their output."""


def named(name: str, *constants: float) -> str:
    """The text for an activation with these constants."""
    return f"{name}({', '.join(map(repr, map(float, constants)))})"


def parts(kind: str) -> tuple[str, tuple[float, ...]]:
    """Name and constants that a text stands for. Raises ValueError for a name that is not in CONSTANTS."""
    name, opened, constants = kind.removesuffix(")").partition("(")
    if name not in CONSTANTS:
        raise ValueError(f"activation must be one of {', '.join(CONSTANTS)}; received {kind!r}")
    return name, tuple(map(float, constants.split(","))) if opened else CONSTANTS[name]


def of_input(kind: str) -> bool:
    """Whether the derivative of what a text stands for is computed from the input."""
    return parts(kind)[0] in OF_INPUT
