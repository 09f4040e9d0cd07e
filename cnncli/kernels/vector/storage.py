"""Copies between the real that arrays are stored as and the one that is computed in: bfloat16 and float32, or equal."""

from cnncli.kernels.vector.emit import Code, emitted
from cnncli.kernels.vector.lanes import Vector


@emitted()
def read(code: Code, out: Vector, x: Vector, count: Vector) -> None:
    """Copy `count` stored numbers at x to `out`, where they are computed with."""
    code.sweep(code.word(0), count, lambda index, mask: code.wide.store(code.load(x, index, mask), out, index, mask))


@emitted()
def write(code: Code, out: Vector, x: Vector, count: Vector) -> None:
    """Copy `count` computed numbers at x to `out`, where they are stored."""
    code.sweep(code.word(0), count, lambda index, mask: code.store(code.wide.load(x, index, mask), out, index, mask))
