"""Losses and their gradients, defined by the rules in `loss_rules`.

Predictions, `target` and `out`: (N, …, classes), or (N,) for one number per sample; target may hold probabilities and
is dense (one-hot rows, not indices). `weight`, `loss`: (N,). All float32 or float64 of one dtype. `out` and
`probabilities` may be the same array as the prediction.

`loss` is a sample's mean over its positions (all axes between the first and the last), for rules without `by_class`
also over the last axis, times its weight. Gradients are those of the mean of `loss` over the batch.
`arguments`: a rule's arguments by name, and `label_smoothing`, Keras' α: t(1 − α) + α/classes, for rules without
`by_class` t(1 − α) + α/2.
Sums over a row have 16 lanes in float64; those over a sample's rows are plain chains.
"""

from collections.abc import Mapping

from numba import types

from cnncli.kernels.jit.runtime import SPAN, Step, Tensor, Worker, block, fields, view, worker
from cnncli.kernels.losses.loss_rows import Row
from cnncli.kernels.losses.loss_rules import RULES, Rule
from cnncli.kernels.vector.emit import Code, emitted
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.sweeps import LANES

LOSS = block(
    "prediction target weight loss out samples positions length per_chunk terms "
    "keep:f share:f first:f second:f third:f scale:f"
)
COMMON = 2
"""Arguments of every rule, before its own: keep and share of the smoothed target t · keep + share."""


def loss(
    rule: str,
    arguments: Mapping[str, float],
    prediction: Tensor,
    target: Tensor,
    weight: Tensor,
    loss: Tensor,
    probabilities: Tensor | None = None,
) -> list[Step]:
    """Compute losses with the rule `kind` of RULES. A loss of logits also fills `probabilities`."""
    return _steps(loss_worker, rule, arguments, prediction, target, weight, loss=loss, out=probabilities)


def gradient(
    rule: str, arguments: Mapping[str, float], prediction: Tensor, target: Tensor, weight: Tensor, out: Tensor
) -> list[Step]:
    """Compute the gradient with respect to the prediction; for a loss of logits, from their probabilities."""
    return _steps(gradient_worker, rule, arguments, prediction, target, weight, out=out)


def _steps(
    losses: Worker,
    name: str,
    arguments: Mapping[str, float],
    prediction: Tensor,
    target: Tensor,
    weight: Tensor,
    *,
    loss: Tensor | None = None,
    out: Tensor | None = None,
) -> list[Step]:
    """Return one step; a chunk has whole samples. A row holds the classes of a position, or a whole sample."""
    rule, samples, size = RULES[name], prediction.shape[0], prediction.size
    length = (1, *prediction.shape[1:])[-1] if rule.by_class else size // samples
    terms = size // samples // length if rule.by_class else length
    per_chunk = max(1, SPAN * samples // size)
    smoothing = arguments.get("label_smoothing", 0.0)
    first, second, third = (*(arguments[number] for number in rule.numbers), 0, 0, 0)[:3]
    return [
        losses.step(
            prediction.dtype,
            -(-samples // per_chunk),
            name,
            prediction=prediction.address,
            target=target.address,
            weight=weight.address,
            loss=loss.address if loss else 0,
            out=out.address if out else 0,
            samples=samples,
            positions=size // samples // length,
            length=length,
            per_chunk=per_chunk,
            terms=terms,
            keep=1 - smoothing,
            share=smoothing / (length if rule.by_class else 2),
            first=first,
            second=second,
            third=third,
            scale=1 / (samples * terms),
        )
    ]


@emitted(types.float64)
def _loss(code: Code, number: int, places: list[Vector], length: Vector, numbers: list[Vector]) -> Vector:
    """Compute the loss of a row with the rule at index `number` in RULES."""
    rule = list(RULES.values())[number]
    return rule.loss(_row(rule, code, places, length, numbers))


@emitted()
def _gradient(
    code: Code, number: int, places: list[Vector], length: Vector, numbers: list[Vector], scale: Vector
) -> None:
    """Fill the gradient of a row with the rule at index `number` in RULES."""
    rule = list(RULES.values())[number]
    rule.gradient(_row(rule, code, places, length, numbers), scale)


def _row(rule: Rule, code: Code, places: list[Vector], length: Vector, numbers: list[Vector]) -> Row:
    return Row(Code(code.builder, code.item, LANES), places, length, numbers[: COMMON + len(rule.numbers)])


@worker(LOSS)
def loss_worker(real, rule):
    """Compute the losses of one chunk's samples."""
    item, number = real.bitwidth // 8, list(RULES).index(rule)

    def loss(parameters, chunk, _, thread):
        p = fields(parameters, LOSS)
        numbers = p.keep, p.share, p.first, p.second, p.third
        weight, loss = view(p.weight, p.samples, real), view(p.loss, p.samples, real)
        for n in range(chunk * p.per_chunk, min(p.samples, (chunk + 1) * p.per_chunk)):
            total = types.float64(0)
            for row in range(n * p.positions, (n + 1) * p.positions):
                length = p.length  # read here, so that LLVM does not duplicate the loop with and without a remainder
                skip = row * length * item
                total += _loss(number, (p.prediction + skip, p.target + skip, p.out + skip), length, numbers, real)
            loss[n] = total / p.terms * weight[n]

    return loss


@worker(LOSS)
def gradient_worker(real, rule):
    """Compute the gradients of one chunk's samples."""
    item, number = real.bitwidth // 8, list(RULES).index(rule)

    def gradient(parameters, chunk, _, thread):
        p = fields(parameters, LOSS)
        numbers = p.keep, p.share, p.first, p.second, p.third
        weight = view(p.weight, p.samples, real)
        for n in range(chunk * p.per_chunk, min(p.samples, (chunk + 1) * p.per_chunk)):
            scale = p.scale * weight[n]
            for row in range(n * p.positions, (n + 1) * p.positions):
                length = p.length  # here, as in `loss_worker`
                skip = row * length * item
                _gradient(number, (p.prediction + skip, p.target + skip, p.out + skip), length, numbers, scale, real)

    return gradient
