"""Updates of flat weight arrays in place, with Keras' formulas.

`weights`, `grads` and the state: float32 or float64 of one dtype, one size. `hyper`: float64, read at run time, so that
schedules need no new plan. Arithmetic is in the weights' dtype.
"""

from math import sqrt

from numba import types

from cnncli.kernels.runtime import Step, Tensor, block, chunks, fields, span, view, worker

SGD = block("weights grads momenta hyper size nesterov")
ADAM = block("weights grads m v hyper size")


def sgd(weights: Tensor, grads: Tensor, momenta: Tensor | None, hyper: Tensor, nesterov: bool) -> list[Step]:
    """m = μm − lr·g, w += m; with `nesterov` w += μm − lr·g with the new m; without `momenta` w −= lr·g.

    hyper: float64 (2,), [learning rate lr, momentum μ].
    """
    return [
        sgd_worker.step(
            weights.dtype,
            chunks(weights.size),
            weights=weights.address,
            grads=grads.address,
            momenta=momenta.address if momenta else 0,
            hyper=hyper.address,
            size=weights.size,
            nesterov=nesterov,
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


@worker(SGD)
def sgd_worker(real):  # type: ignore[no-untyped-def]
    """Update one span."""

    def sgd(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, SGD)
        start, stop = span(chunk, p.size)
        w, g = view(p.weights, p.size, real)[start:stop], view(p.grads, p.size, real)[start:stop]
        hyper = view(p.hyper, 2, types.float64)
        rate, momentum = real(hyper[0]), real(hyper[1])
        if p.momenta == 0:
            for i in range(stop - start):
                w[i] -= rate * g[i]
        else:
            m = view(p.momenta, p.size, real)[start:stop]
            if p.nesterov:
                for i in range(stop - start):
                    m[i] = momentum * m[i] - rate * g[i]
                    w[i] += momentum * m[i] - rate * g[i]
            else:
                for i in range(stop - start):
                    m[i] = momentum * m[i] - rate * g[i]
                    w[i] += m[i]

    return sgd


@worker(ADAM)
def adam_worker(real):  # type: ignore[no-untyped-def]
    """Update one span."""

    def adam(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, ADAM)
        start, stop = span(chunk, p.size)
        w, g = view(p.weights, p.size, real)[start:stop], view(p.grads, p.size, real)[start:stop]
        m, v = view(p.m, p.size, real)[start:stop], view(p.v, p.size, real)[start:stop]
        hyper = view(p.hyper, 4, types.float64)
        alpha, epsilon = real(hyper[0]), real(hyper[3])
        rest_1, rest_2 = real(1 - hyper[1]), real(1 - hyper[2])
        for i in range(stop - start):
            first = m[i] + (g[i] - m[i]) * rest_1
            second = v[i] + (g[i] * g[i] - v[i]) * rest_2
            m[i] = first
            v[i] = second
            w[i] -= alpha * first / (sqrt(second) + epsilon)

    return adam
