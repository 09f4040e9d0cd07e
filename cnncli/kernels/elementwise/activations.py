"""Activation functions, element by element. `x`, `y`, `grad`, `out`: float32 or float64, one shape, any rank.

`out` may be the same array as an input (in-place). A new kind needs an entry in `FORMULAS` and one in
`activation_names`; it is compiled when first planned, with its constants inlined.
"""

from typing import Any

from numba.np import numpy_support

from cnncli.kernels.elementwise.activation_formulas import FORMULAS
from cnncli.kernels.elementwise.activation_names import parts
from cnncli.kernels.jit.runtime import Step, Tensor, block, elements, fields, function, worker
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


def in_place(kind: str, dtype: str) -> int:
    """The address of a C function (x, start, stop): x[start:stop] = f(x[start:stop]), x being an address.

    Raises ValueError as `forward` does.
    """
    parts(kind)
    return in_place_worker.address(dtype, kind)


KINDS = {kind: number for number, kind in enumerate(FORMULAS)}
"""The index of each kind in the formulas."""
_functions = elementwise(*(function for function, _ in FORMULAS.values()))
_gradients = elementwise(*(gradient for _, gradient in FORMULAS.values()))


def constants_of(kind: str, real: Any) -> tuple[Any, ...]:
    """Return the constants of a kind as numbers of type `real`, to be passed to a formula."""
    number = numpy_support.as_dtype(real).type
    return tuple(number(constant) for constant in parts(kind)[1])


@worker(FORWARD)
def forward_worker(real, kind):
    """out = f(x) for some elements."""
    number, constants = KINDS[parts(kind)[0]], constants_of(kind, real)

    def activation(parameters, start, stop, thread):
        p = fields(parameters, FORWARD)
        _functions(number, (p.x,), (p.out,), start, stop, constants, real)

    return activation


@function
def in_place_worker(real, kind):
    """x = f(x) for elements `start` … `stop`-1."""
    number, constants = KINDS[parts(kind)[0]], constants_of(kind, real)

    def activation_in_place(x, start, stop):
        _functions(number, (x,), (x,), start, stop, constants, real)

    return activation_in_place


@worker(BACKWARD)
def backward_worker(real, kind):
    """out = grad · f′(x) for some elements."""
    number, constants = KINDS[parts(kind)[0]], constants_of(kind, real)

    def activation_gradient(parameters, start, stop, thread):
        p = fields(parameters, BACKWARD)
        _gradients(number, (p.saved, p.grad), (p.out,), start, stop, constants, real)

    return activation_gradient
