"""Elementwise arithmetic on one to three arrays of one shape: float32, float64 or bfloat16, one dtype, any rank.

`out` may be any of the inputs.
"""

from collections.abc import Callable, Sequence

from cnncli.kernels.jit.runtime import Step, Tensor, block, computed, elements, fields, worker
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.sweeps import elementwise

APPLY = block("a b c out scale:f offset:f")


def apply(name: str, inputs: Sequence[Tensor], out: Tensor, scale: float = 1.0, offset: float = 0.0) -> list[Step]:
    """out = the formula `name` of the inputs; "affine" and "quotient" read `scale`, and as "rsqrt" `offset`."""
    a, b, c = (*inputs, inputs[-1], inputs[-1])[:3]  # unused inputs are not read
    places = {"a": a.address, "b": b.address, "c": c.address, "out": out.address}
    constants = {"scale": scale, "offset": offset}
    return [apply_worker.step(out.dtype, elements(out), name, **places, **constants)]


def _maximum(a: Vector, b: Vector) -> Vector:
    return a.where(a >= b, b).where(a.number(), a)


def _minimum(a: Vector, b: Vector) -> Vector:
    return a.where(a <= b, b).where(a.number(), a)


FORMULAS: dict[str, Callable[..., Vector]] = {
    "affine": lambda a, b, c, scale, offset: a.fma(scale, offset),
    "quotient": lambda a, b, c, scale, offset: a / scale + offset,
    "rsqrt": lambda a, b, c, scale, offset: 1.0 / (a + offset).sqrt(),
    "gradient of rsqrt": lambda grad, y, *_: grad * (y * y * y * -0.5),
    "copy": lambda a, *_: a,
    "add": lambda a, b, *_: a + b,
    "multiply": lambda a, b, *_: a * b,
    "subtract": lambda a, b, *_: a - b,
    "maximum": lambda a, b, *_: _maximum(a, b),
    "minimum": lambda a, b, *_: _minimum(a, b),
    "first of maximum": lambda grad, a, b, *_: grad.where(a >= b, 0.0),
    "second of maximum": lambda grad, a, b, *_: grad.full(0.0).where(a >= b, grad),
    "first of minimum": lambda grad, a, b, *_: grad.where(a <= b, 0.0),
    "second of minimum": lambda grad, a, b, *_: grad.full(0.0).where(a <= b, grad),
}
"""(a, b, c, scale, offset) → out. "first of" and "second of" are the gradients of the operands; on ties the first."""
NUMBERS = {name: number for number, name in enumerate(FORMULAS)}
_formulas = elementwise(*FORMULAS.values())


@worker(APPLY)
def apply_worker(real, name):
    """Process some elements."""
    formula, number = NUMBERS[name], computed(real)

    def arithmetic(parameters, start, stop, thread):
        p = fields(parameters, APPLY)
        _formulas(formula, (p.a, p.b, p.c), (p.out,), start, stop, (number(p.scale), number(p.offset)), real)

    return arithmetic
