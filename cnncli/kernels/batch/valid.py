"""Weights of samples where some targets are void, which are rows of zeros: as Keras' `ignore_class`."""

from numba import types

from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, elements, fields, view, worker

COUNT = block("target counts rows size")
RAISE = block("counts weight samples rows weights")


def of_valid(target: Tensor, weight: Tensor, scratch: Scratch) -> list[Step]:
    """weight · (rows of the batch's targets) / (those that are not all zeros), or 0 where all are.

    The mean of losses over all rows, weighted so, is that over the valid rows. target: real (n, …, K), weight: real
    (n,) or (n, …). Counts are whole numbers: they do not depend on the number of threads.
    """
    samples, size = target.shape[0], target.shape[-1]
    rows = target.size // samples // size
    counts = scratch.take(8 * samples)
    work = elements(target)._replace(units=samples, grain=max(1, elements(target).grain // (rows * size)), rows=samples)
    return [
        count_worker.step(target.dtype, work, target=target.address, counts=counts, rows=rows, size=size),
        raise_worker.step(
            weight.dtype, 1, counts=counts, weight=weight.address, samples=samples, rows=rows, weights=weight.size
        ),
    ]


@worker(COUNT)
def count_worker(real):
    """Count the valid rows of some samples."""
    item = real.bitwidth // 8

    def count(parameters, start, stop, thread):
        p = fields(parameters, COUNT)
        counts = view(p.counts, stop, types.int64)
        for i in range(start, stop):
            target, valid = view(p.target + i * p.rows * p.size * item, p.rows * p.size, real), 0
            for row in range(p.rows):
                for k in range(row * p.size, (row + 1) * p.size):
                    if target[k] != 0:
                        valid += 1
                        break
            counts[i] = valid

    return count


@worker(RAISE)
def raise_worker(real):
    """Raise the weights of all samples."""

    def raised(parameters, start, stop, thread):
        p = fields(parameters, RAISE)
        counts, weight = view(p.counts, p.samples, types.int64), view(p.weight, p.weights, real)
        valid = 0
        for i in range(p.samples):
            valid += counts[i]
        factor = types.float64(p.samples * p.rows) / valid if valid else 0.0
        for i in range(p.weights):
            weight[i] = weight[i] * factor

    return raised
