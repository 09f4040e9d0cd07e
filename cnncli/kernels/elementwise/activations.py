"""Activation functions, element by element. `x`, `y`, `grad`, `out`: float32 or float64, one shape, any rank.

`out` may be the same array as an input (in-place). A new kind needs an entry in `FORMULAS` and one in
`activation_names`; it is compiled when first planned, with its constants inlined.
"""

from collections.abc import Callable
from typing import Any

from numba.np import numpy_support

from cnncli.kernels.elementwise.activation_formulas import FORMULAS
from cnncli.kernels.elementwise.activation_names import parts
from cnncli.kernels.jit.runtime import Step, Tensor, block, computed, elements, fields, function, worker
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.sweeps import elementwise

FORWARD = block("x out")
BACKWARD = block("saved grad out")


def forward(kind: str, x: Tensor, out: Tensor) -> list[Step]:
    """out = f(x). NaN stays NaN. Raises ValueError for a kind that is not in `FORMULAS`."""
    parts(kind)
    places = {"x": x.address, "out": out.address}
    return [forward_worker.step(out.dtype, elements(out), kind, **places)]


def backward(kind: str, saved: Tensor, grad: Tensor, out: Tensor) -> list[Step]:
    """out = grad · f′(x), where f′ is computed from `saved`: the input x for the kinds in `OF_INPUT`, else y = f(x).

    Raises ValueError as `forward` does.
    """
    parts(kind)
    places = {"saved": saved.address, "grad": grad.address, "out": out.address}
    return [backward_worker.step(out.dtype, elements(out), kind, **places)]


def with_slopes(kind: str, x: Tensor, slopes: Tensor) -> list[Step]:
    """x = f(x), and slopes = f′(x), for the kinds in `OF_INPUT`. Raises ValueError as `forward` does."""
    parts(kind)
    places = {"x": x.address, "out": slopes.address}
    return [with_slopes_worker.step(x.dtype, elements(x), kind, **places)]


def in_place(kind: str, dtype: str, *, slopes: bool = False) -> int:
    """The address of a C function (x, slopes, count): x[:count] = f(x[:count]), x and slopes being addresses.

    With `slopes`, also slopes[:count] = f′(x[:count]), for the kinds in `OF_INPUT`. Raises ValueError as `forward`
    does.
    """
    parts(kind)
    return (in_place_with_slopes_worker if slopes else in_place_worker).address(dtype, kind)


def of_sum(kind: str, dtype: str) -> int:
    """The address of a C function (x, other, count): x[:count] = f(x[:count] + other[:count]), both being addresses.

    Raises ValueError as `forward` does; "linear" is a kind here.
    """
    if kind != "linear":
        parts(kind)
    return of_sum_worker.address(dtype, kind)


def _valued(function: Callable[..., Vector], gradient: Callable[..., Vector]) -> Callable[..., tuple[Vector, Vector]]:
    """Return the formula of both f(x) and f′(x), which share what they have in common, for a kind in `OF_INPUT`."""
    return lambda x, *constants: (function(x, *constants), gradient(x, x.full(1.0), *constants))


def _summed(function: Callable[..., Vector]) -> Callable[..., Vector]:
    return lambda x, other, *constants: function(x + other, *constants)


KINDS = {kind: number for number, kind in enumerate(FORMULAS)}
"""The index of each kind in the formulas."""
_functions = elementwise(*(function for function, _ in FORMULAS.values()))
_with_slopes = elementwise(*(_valued(function, gradient) for function, gradient in FORMULAS.values()))
_of_sums = elementwise(*map(_summed, (function for function, _ in FORMULAS.values())), lambda x, other: x + other)
_gradients = elementwise(*(gradient for _, gradient in FORMULAS.values()))


def constants_of(kind: str, real: Any) -> tuple[Any, ...]:
    """Return the constants of a kind as numbers of type `real`, to be passed to a formula."""
    number = numpy_support.as_dtype(computed(real)).type
    return tuple(number(constant) for constant in parts(kind)[1])


@worker(FORWARD)
def forward_worker(real, kind):
    """out = f(x) for some elements."""
    number, constants = KINDS[parts(kind)[0]], constants_of(kind, real)

    def activation(parameters, start, stop, thread):
        p = fields(parameters, FORWARD)
        _functions(number, (p.x,), (p.out,), start, stop, constants, real)

    return activation


@worker(FORWARD)
def with_slopes_worker(real, kind):
    """x = f(x), out = f′(x) for some elements."""
    number, constants = KINDS[parts(kind)[0]], constants_of(kind, real)

    def activation_with_slopes(parameters, start, stop, thread):
        p = fields(parameters, FORWARD)
        _with_slopes(number, (p.x,), (p.x, p.out), start, stop, constants, real)

    return activation_with_slopes


@function
def in_place_worker(real, kind):
    """x = f(x) for `count` elements; there are no slopes."""
    number, constants = KINDS[parts(kind)[0]], constants_of(kind, real)

    def activation_in_place(x, slopes, count):
        _functions(number, (x,), (x,), 0, count, constants, real)

    return activation_in_place


@function
def in_place_with_slopes_worker(real, kind):
    """x = f(x), slopes = f′(x) for `count` elements."""
    number, constants = KINDS[parts(kind)[0]], constants_of(kind, real)

    def activation_in_place_with_slopes(x, slopes, count):
        _with_slopes(number, (x,), (x, slopes), 0, count, constants, real)

    return activation_in_place_with_slopes


@function
def of_sum_worker(real, kind):
    """x = f(x + other) for `count` elements."""
    linear = kind == "linear"
    number, constants = (len(KINDS), ()) if linear else (KINDS[parts(kind)[0]], constants_of(kind, real))

    def activation_of_sum(x, other, count):
        _of_sums(number, (x, other), (x,), 0, count, constants, real)

    return activation_of_sum


@worker(BACKWARD)
def backward_worker(real, kind):
    """out = grad · f′(x) for some elements."""
    number, constants = KINDS[parts(kind)[0]], constants_of(kind, real)

    def activation_gradient(parameters, start, stop, thread):
        p = fields(parameters, BACKWARD)
        _gradients(number, (p.saved, p.grad), (p.out,), start, stop, constants, real)

    return activation_gradient
