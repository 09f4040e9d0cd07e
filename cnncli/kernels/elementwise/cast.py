"""Conversion between float32 and bfloat16, which NumPy holds as uint16."""

from cnncli.kernels.jit.runtime import Step, Tensor, block, elements, fields, worker
from cnncli.kernels.vector import storage

CAST = block("x out")


def cast(x: Tensor, out: Tensor) -> list[Step]:
    """out = x; one of them float32, the other bfloat16, to which numbers are rounded (`Vector.bfloat16`)."""
    widens = int(x.dtype == "bfloat16")
    return [cast_worker.step("bfloat16", elements(out), widens, x=x.address, out=out.address)]


@worker(CAST)
def cast_worker(real, widens):
    """Convert some elements: to float32, or back."""

    def cast(parameters, start, stop, thread):
        p = fields(parameters, CAST)
        if widens:
            storage.read(p.out + 4 * start, p.x + 2 * start, stop - start, real)
        else:
            storage.write(p.out + 2 * start, p.x + 4 * start, stop - start, real)

    return cast
