"""Updates of flat weight arrays in place, with Keras' formulas.

`weights`, `grads` and the state: float32 or float64 of one dtype, one size. `hyper`: float64, read at run time, so that
schedules need no replanning; each tensor reads its row, so that tensors may have rates of their own. Arithmetic is in
the weights' dtype.

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
from cnncli.kernels.vector.lanes import Vector, larger, smaller
from cnncli.kernels.vector.vectormath import exp, log

UPDATE = block("weights grads first second third hyper width places rows factors count")
COMMON = 2
"""Common numbers at the beginning of a rule's numbers: decay (learning rate times weight decay), bound."""


class Segments(NamedTuple):
    """Locations of the tensors in the flat arrays; padding between them is not modified.

    places: int64 (count, 2), each tensor's first element and its last + 1, in order. rows: int64 (count,), its row of
    `hyper`. factors, ratios: float64 (count,), the factors for gradients, and for the moves of LAMB. squares: float64
    (2, count, `clipping.PARTS`), working memory of `clipping`.
    """

    places: Tensor
    rows: Tensor
    factors: Tensor
    ratios: Tensor
    squares: Tensor


class Rule(NamedTuple):
    """A formula (weight, gradient, state, numbers) → (new weight, new state …), all vectors.

    `slots`: the number of state arrays; `numbers`: how many it reads from `hyper`, after the common ones.
    """

    formula: Callable[[Vector, Vector, Sequence[Vector], Sequence[Vector]], Sequence[Vector]]
    slots: int
    numbers: int


def update(
    rule: str,
    weights: Tensor,
    grads: Tensor,
    slots: Sequence[Tensor],
    hyper: Tensor,
    segments: Segments,
    *,
    column: int = 0,
) -> list[Step]:
    """One update with the rule of that name in RULES, which has at most 3 slots.

    hyper: float64 (rows, columns); the common numbers and those of the rule begin at `column`.
    """
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
            hyper=hyper.address + 8 * column,
            width=8 * hyper.shape[1],
            places=segments.places.address,
            rows=segments.rows.address,
            factors=segments.factors.address,
            count=segments.places.shape[0],
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
    alpha, epsilon, *rests = numbers
    m, v = _moments(g, state, rests)
    return w - alpha * m / (v.sqrt() + epsilon), m, v


def _moments(g: Vector, state: Sequence[Vector], rests: Sequence[Vector]) -> tuple[Vector, Vector]:
    """Adam's new m and v. rests: 1 − β₁, 1 − β₂."""
    (m, v), (rest_1, rest_2) = state, rests
    return m + (g - m) * rest_1, v + (g * g - v) * rest_2


def _amsgrad(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """Adam with the largest v so far in place of v (Reddi, Kale, Kumar 2018). Numbers: Adam's."""
    (*moments, highest), (alpha, epsilon, *_) = state, numbers
    m, v = _moments(g, moments, numbers[2:])
    highest = larger(v, highest)
    return w - alpha * m / (highest.sqrt() + epsilon), m, v, highest


def _adamax(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """m as Adam's, u = max(β₂u, |g|), w −= α·m / (u + ε) (Kingma, Ba 2015, section 7.1).

    Numbers: α = lr / (1 − β₁ᵗ), ε, 1 − β₁, β₂.
    """
    (m, u), (alpha, epsilon, rest_1, beta_2) = state, numbers
    m = m + (g - m) * rest_1
    u = larger(beta_2 * u, g.magnitude())
    return w - alpha * m / (u + epsilon), m, u


def _lamb(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """m and v as Adam's; the third slot becomes the direction (a·m) / (√(b·v) + ε) (You et al. 2020).

    Numbers: a, b, ε, 1 − β₁, 1 − β₂. The weights only decay: the step is `clipping.ratios`, then `sgd`.
    """
    (*moments, _), (of_m, of_v, epsilon, *rests) = state, numbers
    m, v = _moments(g, moments, rests)
    return w, m, v, of_m * m / ((of_v * v).sqrt() + epsilon)


def _nadam(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """m and v as Adam's, w −= (a·m + b·g) / (√(c·v) + ε) (Dozat 2016). Numbers: a, b, c, ε, 1 − β₁, 1 − β₂."""
    of_m, of_g, of_v, epsilon, *rests = numbers
    m, v = _moments(g, state, rests)
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


def _adadelta(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """s = ρs + (1 − ρ)g², δ = g·√(d + ε) / √(s + ε), d = ρd + (1 − ρ)δ², w −= lr·δ (Zeiler 2012).

    Numbers: lr, ε, ρ, 1 − ρ.
    """
    (s, d), (rate, epsilon, rho, rest) = state, numbers
    s = rho * s + rest * (g * g)
    move = (d + epsilon).sqrt() * g / (s + epsilon).sqrt()
    return w - rate * move, s, rho * d + rest * (move * move)


def _lion(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """w −= lr·sign(β₁m + (1 − β₁)g), m = β₂m + (1 − β₂)g (Chen et al. 2023). Numbers: lr, β₁, 1 − β₁, β₂, 1 − β₂."""
    (m,), (rate, beta_1, rest_1, beta_2, rest_2) = state, numbers
    way = m * beta_1 + g * rest_1
    step = rate.where(way > 0.0, (-rate).where(way < 0.0, way))  # 0, or NaN
    return w - step, m * beta_2 + g * rest_2


def _ftrl(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """Follow the regularized leader (McMahan et al. 2013): new w = (clip(z, ±l1) − z) / ((sᵖ + β) / lr + 2·l2).

    s += g², z += g + 2·shrinkage·w − (new sᵖ − sᵖ) / lr · w. Numbers: lr, p = −learning_rate_power, l1, 2·l2,
    2·shrinkage, β.
    """
    (s, z), (rate, power, l1, l2, shrinkage, beta) = state, numbers
    raised, s = _raised(s, power), s + g * g
    now = _raised(s, power)
    z = z + (g + shrinkage * w - (now - raised) / rate * w)
    clipped = smaller(larger(z, -l1), l1)
    return (clipped - z) / ((now + beta) / rate + l2), s, z


def _raised(x: Vector, power: Vector) -> Vector:
    """x to a power, for x ≥ 0; in float64, because differences of such powers are taken."""
    return exp(log(x.double()) * power.double()).rounded(x.item)


def _average(w: Vector, g: Vector, state: Sequence[Vector], numbers: Sequence[Vector]) -> Sequence[Vector]:
    """a = μa + (1 − μ)w; with `overwrite` above 0, w = a. Gradients are not read. Numbers: μ, 1 − μ, overwrite."""
    (a,), (momentum, rest, overwrite) = state, numbers
    a = momentum * a + rest * w
    return a.where(overwrite > 0.0, w), a


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
    "amsgrad": Rule(_amsgrad, 3, 4),
    "adamax": Rule(_adamax, 2, 4),
    "nadam": Rule(_nadam, 2, 6),
    "lamb": Rule(_lamb, 3, 5),
    "rmsprop": _variant(centered=False, momentum=False),
    "rmsprop_momentum": _variant(centered=False, momentum=True),
    "rmsprop_centered": _variant(centered=True, momentum=False),
    "rmsprop_centered_momentum": _variant(centered=True, momentum=True),
    "adagrad": Rule(_adagrad, 1, 2),
    "adadelta": Rule(_adadelta, 2, 4),
    "lion": Rule(_lion, 1, 5),
    "ftrl": Rule(_ftrl, 2, 6),
    "average": Rule(_average, 1, 3),
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
        places, rows = view(p.places, (p.count, 2), types.int64), view(p.rows, p.count, types.int64)
        factors = view(p.factors, p.count, types.float64)
        for i in range(p.count):
            first, end = max(start, places[i, 0]), min(stop, places[i, 1])
            if first < end:
                slots = (p.first, p.second, p.third)
                hyper = p.hyper + rows[i] * p.width
                _apply(number, p.weights, p.grads, slots, hyper, factors[i], first, end, real)

    return update
