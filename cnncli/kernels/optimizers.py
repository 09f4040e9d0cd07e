"""Updates of flat weight arrays in place, with Keras' formulas.

`weights`, `grads` and the state: float32 or float64 of one dtype, one size. `hyper`: float64, read at run time, so that
schedules need no new plan. Arithmetic is in the weights' dtype.
"""

from numba import types

from cnncli.kernels.lanes import Vector
from cnncli.kernels.runtime import Step, Tensor, block, chunks, fields, span, view, worker
from cnncli.kernels.sweeps import elementwise

SGD = block("weights grads momenta hyper size")
ADAM = block("weights grads m v hyper size")
PLAIN, MOMENTUM, NESTEROV = range(3)


def sgd(weights: Tensor, grads: Tensor, momenta: Tensor | None, hyper: Tensor, nesterov: bool) -> list[Step]:
    """m = μm − lr·g, w += m; with `nesterov` w += μm − lr·g with the new m; without `momenta` w −= lr·g.

    hyper: float64 (2,), [learning rate lr, momentum μ].
    """
    return [
        sgd_worker.step(
            weights.dtype,
            chunks(weights.size),
            (NESTEROV if nesterov else MOMENTUM) if momenta else PLAIN,
            weights=weights.address,
            grads=grads.address,
            momenta=momenta.address if momenta else 0,
            hyper=hyper.address,
            size=weights.size,
        )
    ]


def adam(weights: Tensor, grads: Tensor, m: Tensor, v: Tensor, hyper: Tensor) -> list[Step]:
    """m += (g − m)(1 − β₁), v += (g² − v)(1 − β₂), w −= α·m / (√v + ε) (Kingma, Ba 2015, section 2, last lines).

    hyper: float64 (4,), [α, β₁, β₂, ε], where α = lr·√(1 − β₂ᵗ) / (1 − β₁ᵗ) carries the bias correction.
    """
    return [
        adam_worker.step(
            weights.dtype,
            chunks(weights.size),
            weights=weights.address,
            grads=grads.address,
            m=m.address,
            v=v.address,
            hyper=hyper.address,
            size=weights.size,
        )
    ]


def _plain(w: Vector, g: Vector, rate: Vector) -> Vector:
    return w - rate * g


def _momentum(w: Vector, g: Vector, m: Vector, rate: Vector, momentum: Vector) -> tuple[Vector, Vector]:
    m = momentum * m - rate * g
    return w + m, m


def _nesterov(w: Vector, g: Vector, m: Vector, rate: Vector, momentum: Vector) -> tuple[Vector, Vector]:
    m = momentum * m - rate * g
    return w + (momentum * m - rate * g), m


def _adam(
    w: Vector, g: Vector, m: Vector, v: Vector, alpha: Vector, epsilon: Vector, rest_1: Vector, rest_2: Vector
) -> tuple[Vector, Vector, Vector]:
    m = m + (g - m) * rest_1
    v = v + (g * g - v) * rest_2
    return w - alpha * m / (v.sqrt() + epsilon), m, v


_sgd, _adams = elementwise(_plain, _momentum, _nesterov), elementwise(_adam)


@worker(SGD)
def sgd_worker(real, kind):
    """Update one span."""

    def sgd(parameters, chunk, thread):
        p = fields(parameters, SGD)
        start, stop = span(chunk, p.size)
        w, g, m = p.weights, p.grads, p.momenta
        hyper = view(p.hyper, 2, types.float64)
        rate, momentum = real(hyper[0]), real(hyper[1])
        if kind == PLAIN:
            _sgd(PLAIN, (w, g), (w,), start, stop, (rate,), real)
        else:
            _sgd(kind, (w, g, m), (w, m), start, stop, (rate, momentum), real)

    return sgd


@worker(ADAM)
def adam_worker(real):
    """Update one span."""

    def adam(parameters, chunk, thread):
        p = fields(parameters, ADAM)
        start, stop = span(chunk, p.size)
        w, g, m, v = p.weights, p.grads, p.m, p.v
        hyper = view(p.hyper, 4, types.float64)
        numbers = real(hyper[0]), real(hyper[3]), real(1 - hyper[1]), real(1 - hyper[2])
        _adams(0, (w, g, m, v), (w, m, v), start, stop, numbers, real)

    return adam
