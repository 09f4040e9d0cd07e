"""Losses and their gradients, defined by the rules in `loss_rules`.

Predictions, `target` and `out`: (N, …, classes), or (N,) for one number per sample; target may hold probabilities and
is dense (one-hot rows, not indices). `loss`: (N,); `weight`: (N,), or (N, …) for each position, where the loss is a
mean over positions or elements. All float32 or float64 of one dtype. `out` and `probabilities` may be the same array as
the prediction.

`loss` is a sample's mean over its rows times its weight, and times `weight` of the arguments. A row is a position (all
axes but the last), a sample, or the whole batch, whose loss is that of each sample (`Rule.extent`). Gradients are those
of the mean of `loss` over the batch.
`arguments`: a rule's arguments by name; `axis`, which decides what a row is where the rule does not: null is the batch,
−1 a position, anything else a sample; and `label_smoothing`, Keras' α: t(1 − α) + α/classes, for rules that are not of
positions t(1 − α) + α/2.
Sums over a row have 16 lanes in float64; those over a sample's rows are plain chains.
"""

from collections.abc import Mapping
from typing import Any

from numba import types

from cnncli.kernels.batch import shared
from cnncli.kernels.jit.runtime import SPAN, Step, Tensor, Worker, block, fields, view, worker
from cnncli.kernels.losses.loss_rows import Row
from cnncli.kernels.losses.loss_rules import RULES, Rule
from cnncli.kernels.vector.emit import Code, emitted
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.sweeps import LANES

LOSS = block(
    "prediction target weight loss out samples groups together rows length per_chunk terms own told "
    "keep:f share:f first:f second:f third:f factor:f scale:f one:f two:f three:f weights:f"
)
"""`told`: whether the last four fields are what a survey has found of the batch: three sums, and that of weights."""
SURVEY = block("reader found")
COMMON = 2
"""Arguments of every rule (keep and share of the smoothed target t · keep + share), before its own."""
FOUND = 4
"""Numbers that a survey finds."""


def loss(
    rule: str,
    arguments: Mapping[str, Any],
    prediction: Tensor,
    target: Tensor,
    weight: Tensor,
    loss: Tensor,
    probabilities: Tensor | None = None,
    *,
    in_parts: bool = False,
) -> list[Step]:
    """Compute losses with the rule `kind` of RULES. A loss of logits also fills `probabilities`.

    `in_parts`: whether these rows may be a part of a batch (`shared`), over which the sums of a survey then go.
    """
    return _steps(loss_worker, rule, arguments, prediction, target, weight, in_parts, loss=loss, out=probabilities)


def gradient(
    rule: str,
    arguments: Mapping[str, Any],
    prediction: Tensor,
    target: Tensor,
    weight: Tensor,
    out: Tensor,
    *,
    in_parts: bool = False,
) -> list[Step]:
    """Compute the gradient with respect to the prediction; for a loss of logits, from their probabilities."""
    return _steps(gradient_worker, rule, arguments, prediction, target, weight, in_parts, out=out)


def _steps(
    losses: Worker,
    name: str,
    arguments: Mapping[str, Any],
    prediction: Tensor,
    target: Tensor,
    weight: Tensor,
    in_parts: bool,
    *,
    loss: Tensor | None = None,
    out: Tensor | None = None,
) -> list[Step]:
    """Return one step, after those of a survey. Samples that share a row are a group; a chunk has whole groups."""
    rule, samples, size = RULES[name], prediction.shape[0], prediction.size
    extent = rule.extent or {None: "batch", -1: "position"}.get(arguments["axis"], "sample")
    share = (1, *prediction.shape[1:])[-1] if extent == "position" else 2
    own = weight.size != samples
    if own:
        extent = "position"  # so that each has a row of its own
    groups = 1 if extent == "batch" else samples
    length = (1, *prediction.shape[1:])[-1] if extent == "position" else size // groups
    rows = size // groups // length
    per_chunk = max(1, SPAN * samples // size)
    told = rule.survey is not None and (rule.extent is not None or extent == "batch")
    terms = rows * length if rule.mean else rows
    smoothing, factor = arguments.get("label_smoothing", 0.0), arguments.get("weight", 1.0)
    first, second, third = (*(arguments[number] for number in rule.numbers), 0, 0, 0)[:3]
    reader = losses.step(
        prediction.dtype,
        -(-groups // per_chunk),
        name,
        prediction=prediction.address,
        target=target.address,
        weight=weight.address,
        loss=loss.address if loss else 0,
        out=out.address if out else 0,
        samples=samples,
        groups=groups,
        together=samples // groups,
        rows=rows,
        length=length,
        per_chunk=per_chunk,
        terms=terms,
        own=own,
        told=told,
        keep=1 - smoothing,
        share=smoothing / share,
        first=first,
        second=second,
        third=third,
        factor=factor,
        scale=factor / (samples * terms),
        one=0,
        two=0,
        three=0,
        weights=0,
    )
    return [*(_surveying(name, prediction.dtype, reader, in_parts) if told else []), reader]


def _surveying(rule: str, dtype: str, reader: Step, in_parts: bool) -> list[Step]:
    """Return the steps that tell the reader what a survey finds, of all parts of the batch if this is one of them."""
    block, (_, place) = reader.parameters.ctypes.data, reader.parameters.dtype.fields["one"]
    survey = survey_worker.step(dtype, 1, rule, reader=block, found=block + place)
    return [survey, *(shared.totaled(block + place, FOUND) if in_parts else [])]


@emitted()
def _survey(code: Code, number: int, places: list[Vector], size: Vector, numbers: list[Vector], out: Vector) -> None:
    """Store the survey of the rule at index `number` in RULES, of the whole batch."""
    rule = _rule(number)
    assert rule.survey is not None  # see `_steps`
    row = Row(Code(code.builder, code.item, LANES), places, size, numbers)
    for place, total in enumerate(row.sums(*rule.survey)):
        code.store(total, out, place)


@emitted(types.float64)
def _loss(
    code: Code,
    number: int,
    places: list[Vector],
    length: Vector,
    numbers: list[Vector],
    found: list[Vector],
    told: Vector,
) -> Vector:
    """Compute the loss of a row with the rule at index `number` in RULES."""
    rule = _rule(number)
    return rule.loss(_row(rule, code, places, length, numbers, found, told))


@emitted()
def _gradient(
    code: Code,
    number: int,
    places: list[Vector],
    length: Vector,
    numbers: list[Vector],
    found: list[Vector],
    told: Vector,
    scale: Vector,
) -> None:
    """Fill the gradient of a row with the rule at index `number` in RULES."""
    rule = _rule(number)
    rule.gradient(_row(rule, code, places, length, numbers, found, told), scale)


def _rule(number: int) -> Rule:
    return list(RULES.values())[number]


def _row(
    rule: Rule,
    code: Code,
    places: list[Vector],
    length: Vector,
    numbers: list[Vector],
    found: list[Vector],
    told: Vector,
) -> Row:
    given, surveyed = numbers[: COMMON + len(rule.numbers)], found[: rule.survey.number] if rule.survey else []
    return Row(Code(code.builder, code.item, LANES), places, length, given, surveyed, told)


@worker(SURVEY)
def survey_worker(real, rule):
    """Find what the rule's survey sums up over all rows, and the sum of the samples' weights, for a worker's block."""
    number = list(RULES).index(rule)

    def survey(parameters, chunk, _, thread):
        q = fields(parameters, SURVEY)
        p = fields(q.reader, LOSS)
        given = p.keep, p.share, p.first, p.second, p.third
        size = p.groups * p.rows * p.length
        _survey(number, (p.prediction, p.target, p.out), size, given, q.found, real)
        weight, total = view(p.weight, p.samples, real), types.float64(0)
        for n in range(p.samples):
            total += types.float64(weight[n])
        view(q.found, FOUND, types.float64)[FOUND - 1] = total

    return survey


@worker(LOSS)
def loss_worker(real, rule):
    """Compute the losses of one chunk's samples."""
    item, number = real.bitwidth // 8, list(RULES).index(rule)

    def loss(parameters, chunk, _, thread):
        p = fields(parameters, LOSS)
        numbers = p.keep, p.share, p.first, p.second, p.third
        found = p.one, p.two, p.three
        weight, loss = view(p.weight, p.samples * (p.rows if p.own else 1), real), view(p.loss, p.samples, real)
        for group in range(chunk * p.per_chunk, min(p.groups, (chunk + 1) * p.per_chunk)):
            total = types.float64(0)
            for row in range(group * p.rows, (group + 1) * p.rows):
                length = p.length  # read here, so that LLVM does not duplicate the loop with and without a remainder
                skip = row * length * item
                places = p.prediction + skip, p.target + skip, p.out + skip
                one = _loss(number, places, length, numbers, found, p.told, real)
                if p.own:
                    one *= weight[row]
                total += one
            for n in range(group * p.together, (group + 1) * p.together):
                each = types.float64(1) if p.own else types.float64(weight[n])
                loss[n] = total / p.terms * each * p.factor

    return loss


@worker(LOSS)
def gradient_worker(real, rule):
    """Compute the gradients of one chunk's samples."""
    item, number = real.bitwidth // 8, list(RULES).index(rule)
    joint = RULES[rule].extent is None  # so that told sums are those of the loss of all samples

    def gradient(parameters, chunk, _, thread):
        p = fields(parameters, LOSS)
        numbers = p.keep, p.share, p.first, p.second, p.third
        found = p.one, p.two, p.three
        weight = view(p.weight, p.samples * (p.rows if p.own else 1), real)
        for group in range(chunk * p.per_chunk, min(p.groups, (chunk + 1) * p.per_chunk)):
            total = types.float64(0)
            for n in range(group * p.together, (group + 1) * p.together):
                total += types.float64(1) if p.own else types.float64(weight[n])
            if joint and p.told:
                total = p.weights
            scale = p.scale * total
            for row in range(group * p.rows, (group + 1) * p.rows):
                length = p.length  # here, as in `loss_worker`
                skip = row * length * item
                each = scale * weight[row] if p.own else scale
                places = p.prediction + skip, p.target + skip, p.out + skip
                _gradient(number, places, length, numbers, found, p.told, each, real)

    return gradient
