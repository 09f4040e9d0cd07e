"""Updates of flat weight arrays in place, with Keras' formulas.

`weights`, `grads` and the state: float32 or float64 of one dtype, one size. `hyper`: float64, read at run time, so that
schedules need no replanning. Arithmetic is in the weights' dtype.

Every update first multiplies the gradient by its tensor's factor, clips it to ±bound, and subtracts decay · w from the
weight; then the rule is applied. A factor of 1, a bound of ∞ and a decay of 0 change no bit, and cost nothing because
updates are limited by memory bandwidth.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cnncli.kernels.jit.runtime import Step, Tensor, block, elements, fields, view, worker
from cnncli.kernels.vector.emit import Code, wrapped
from cnncli.kernels.vector.lanes import Vector

UPDATE = block("weights grads first second third hyper places factors count size")
COMMON = 2
"""Common numbers at the beginning of `hyper`: decay (learning rate times weight decay), bound."""


class Segments(NamedTuple):
    """Locations of the tensors in the flat arrays; padding between them is not modified.

    places: int64 (count, 2), each tensor's first element and its last + 1, in order. factors: float64 (count,), the
    factors for gradients. squares: float64 (count, `clipping.PARTS`), working memory of `clipping`.
    """

    places: Tensor
    factors: Tensor
    squares: Tensor


class Rule(NamedTuple):
    """A formula (weight, gradient, state, numbers) → (new weight, new state …), all vectors.

    `slots`: the number of state arrays; `numbers`: how many it reads from `hyper`, after the common ones.
    """

    formula: Callable[[Vector, Vector, Sequence[Vector], Sequence[Vector]], Sequence[Vector]]
    slots: int
    numbers: int


def update(
    rule: str, weights: Tensor, grads: Tensor, slots: Sequence[Tensor], hyper: Tensor, segments: Segments
) -> list[Step]:
    """One update with the rule of that name in RULES. hyper: float64 (2 + the rule's numbers,). At most 3 slots."""
    first, second, third = (*(slot.address for slot in slots), 0, 0, 0)[:3]
    return [
        update_worker.step(
            weights.dtype,
            elements(weights.size),
            rule,
            weights=weights.address,
            grads=grads.address,
            first=first,
            second=second,
            third=third,
            hyper=hyper.address,
            places=segments.places.address,
            factors=segments.factors.address,
            count=segments.places.shape[0],
            size=weights.size,
        )
    ]


def _sgd(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """w −= lr·g. Numbers: lr."""
    (rate,) = numbers
    return (w - rate * g,)


def _momentum(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """m = μm − lr·g, w += m (Polyak 1964). Numbers: lr, μ."""
    (m,), (rate, momentum) = state, numbers
    m = momentum * m - rate * g
    return w + m, m


def _nesterov(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """m = μm − lr·g, w += μm − lr·g with the new m (Sutskever et al. 2013). Numbers: lr, μ."""
    (m,), (rate, momentum) = state, numbers
    m = momentum * m - rate * g
    return w + (momentum * m - rate * g), m


def _adam(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """m += (g − m)(1 − β₁), v += (g² − v)(1 − β₂), w −= α·m / (√v + ε) (Kingma, Ba 2015, section 2, last lines).

    Numbers: α = lr·√(1 − β₂ᵗ) / (1 − β₁ᵗ), which carries the bias correction, ε, 1 − β₁, 1 − β₂.
    """
    (m, v), (alpha, epsilon, rest_1, rest_2) = state, numbers
    m = m + (g - m) * rest_1
    v = v + (g * g - v) * rest_2
    return w - alpha * m / (v.sqrt() + epsilon), m, v


def _nadam(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """m and v as Adam's, w −= (a·m + b·g) / (√(c·v) + ε) (Dozat 2016). Numbers: a, b, c, ε, 1 − β₁, 1 − β₂."""
    (m, v), (of_m, of_g, of_v, epsilon, rest_1, rest_2) = state, numbers
    m = m + (g - m) * rest_1
    v = v + (g * g - v) * rest_2
    return w - (of_m * m + of_g * g) / ((of_v * v).sqrt() + epsilon), m, v


def _rmsprop(
    w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector], *, centered: bool, momentum: bool
) -> Sequence[Vector]:
    """v = ρv + (1 − ρ)g², w −= lr·g / √(v + ε) (Tieleman, Hinton 2012).

    `centered`: v − a² under the root, where a = ρa + (1 − ρ)g (Graves 2013, equations 38 to 40). `momentum`: what w
    moves by is added to μm, and w −= m. State: v, a, m. Numbers: lr, ε, ρ, 1 − ρ, μ.
    """
    v, *others = state
    rate, epsilon, rho, rest, mu = numbers
    v = rho * v + rest * (g * g)
    new, spread = [v], v
    if centered:
        mean = rho * others[0] + rest * g
        new, spread = [v, mean], v - mean * mean
    by = rate * g / (spread + epsilon).sqrt()
    if momentum:
        by = mu * others[-1] + by
        new = [*new, by]
    return w - by, *new


def _adagrad(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """s += g², w −= lr·g / √(s + ε) (Duchi, Hazan, Singer 2011). Numbers: lr, ε."""
    (s,), (rate, epsilon) = state, numbers
    s = s + g * g
    return w - rate * g / (s + epsilon).sqrt(), s


def _variant(centered: bool, momentum: bool) -> Rule:
    return Rule(
        lambda w, g, state, numbers: _rmsprop(w, g, state, numbers, centered=centered, momentum=momentum),
        1 + centered + momentum,
        5,
    )


RULES: dict[str, Rule] = {
    "sgd": Rule(_sgd, 0, 1),
    "momentum": Rule(_momentum, 1, 2),
    "nesterov": Rule(_nesterov, 1, 2),
    "adam": Rule(_adam, 2, 4),
    "nadam": Rule(_nadam, 2, 6),
    "rmsprop": _variant(centered=False, momentum=False),
    "rmsprop_momentum": _variant(centered=False, momentum=True),
    "rmsprop_centered": _variant(centered=True, momentum=False),
    "rmsprop_centered_momentum": _variant(centered=True, momentum=True),
    "adagrad": Rule(_adagrad, 1, 2),
}


@intrinsic(prefer_literal=True)
def _apply(typing_context, number, weights, grads, slots, hyper, factor, start, stop, real):
    """Update elements `start` to `stop` with the rule at index `number` in RULES. All but `factor` are integers."""

    def generate(context, builder, signature, arguments):
        rule, code = list(RULES.values())[number.literal_value], Code(builder, real.instance_type.bitwidth // 8)
        weights, grads, slots, hyper, factor, start, stop = (wrapped(builder, value) for value in arguments[1:-1])
        given = [code.number(hyper, i, ir.DoubleType()) for i in range(COMMON + rule.numbers)]
        factor, decay, bound, *numbers = (code.full(value).rounded(code.item) for value in (factor, *given))
        lowest, places = 0.0 - bound, [weights, *slots[: rule.slots]]

        def body(index: Vector, mask: Vector | None) -> None:
            w, *state = (code.load(place, index, mask) for place in places)
            g = factor * code.load(grads, index, mask)
            g = bound.where(g > bound, lowest.where(g < lowest, g))  # NaN stays
            for place, new in zip(places, rule.formula(w - decay * w, g, state, numbers), strict=True):
                code.store(new, place, index, mask)

        code.sweep(start, stop, body)
        return context.get_dummy_value()

    word = types.intp
    addresses: Any = (number, word, word, types.UniTuple(word, 3), word)
    return types.void(*addresses, types.float64, word, word, real), generate


@worker(UPDATE)
def update_worker(real, rule):
    """Update the parts of tensors within some elements."""
    number = list(RULES).index(rule)

    def update(parameters, start, stop, thread):
        p = fields(parameters, UPDATE)
        places, factors = view(p.places, (p.count, 2), types.int64), view(p.factors, p.count, types.float64)
        for i in range(p.count):
            first, end = max(start, places[i, 0]), min(stop, places[i, 1])
            if first < end:
                slots = (p.first, p.second, p.third)
                _apply(number, p.weights, p.grads, slots, p.hyper, factors[i], first, end, real)

    return update
