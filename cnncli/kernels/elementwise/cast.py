"""Conversion between float32 and bfloat16, which NumPy holds as uint16."""

from cnncli.kernels.jit.runtime import Step, Tensor, block, elements, fields, worker
from cnncli.kernels.vector.emit import Code, emitted
from cnncli.kernels.vector.lanes import Vector

CAST = block("x out")


def cast(x: Tensor, out: Tensor) -> list[Step]:
    """out = x; one of them float32, the other bfloat16, to which numbers are rounded (`Vector.bfloat16`)."""
    widens = int(x.dtype == "bfloat16")
    return [cast_worker.step("bfloat16", elements(out), widens, x=x.address, out=out.address)]


@emitted()
def _convert(code: Code, widens: int, x: Vector, out: Vector, start: Vector, stop: Vector) -> None:
    source, target = (code, code.wide)[:: 1 if widens else -1]

    def body(index: Vector, mask: Vector | None) -> None:
        target.store(source.load(x, index, mask), out, index, mask)

    code.sweep(start, stop, body)


@worker(CAST)
def cast_worker(real, widens):
    """Convert some elements: to float32, or back."""

    def cast(parameters, start, stop, thread):
        p = fields(parameters, CAST)
        _convert(widens, p.x, p.out, start, stop, real)

    return cast
