"""Losses and their gradients.

Predictions (`logits`, `probabilities`, `prediction`), `target` and `out`: (N, …, classes), or (N,) for one number a
sample; target may hold probabilities and is dense (one-hot rows, not indices). `weight`, `loss`: (N,). All float32 or
float64 of one dtype. `out` and `probabilities` may be the same array as the prediction.

`loss` gets a sample's mean over its positions (all axes between the first and the last), for the binary losses and the
squared error also over the last axis, times its weight. Gradients are those of the mean of `loss` over the batch.
`smoothing` is Keras' label_smoothing α: t(1 − α) + α/classes, for binary losses t(1 − α) + α/2.
Sums over a row have 16 lanes in float64; those over a sample's rows are plain chains.
"""

from collections.abc import Mapping

from numba import types

from cnncli.kernels.loss_formulas import (
    BINARY,
    BINARY_SLOPE,
    DIFFERENCE,
    SIGMOID,
    SLOPE,
    SOFTMAX_SLOPE,
    SQUARED,
    element_losses,
    expected_logits,
    expected_logs,
    masses,
    reaches,
    scalar_log,
    slopes,
    sums,
)
from cnncli.kernels.runtime import SPAN, Step, Tensor, Worker, block, chunks, fields, span, view, worker
from cnncli.kernels.softmax import divided, exponentials
from cnncli.kernels.sweeps import largest

LOSS = block("prediction target weight loss probabilities samples positions classes per_chunk keep:f share:f")
ROWS_GRADIENT = block("prediction target weight out rows positions classes per_chunk keep:f share:f scale:f")
GRADIENT = block("prediction target weight out size sample keep:f share:f scale:f")

NOWHERE = Tensor(0, (), "float64")
"""Stands in a block for an array that the worker does not touch."""


def softmax_cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor, smoothing: float, loss: Tensor, probabilities: Tensor
) -> list[Step]:
    """−Σ t log softmax(logits); fills `probabilities` with softmax(logits)."""
    arrays = {"prediction": logits, "target": target, "weight": weight, "loss": loss, "probabilities": probabilities}
    return _loss(softmax_cross_entropy_worker, arrays, smoothing, logits.shape[-1])


def softmax_cross_entropy_gradient(
    probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, out: Tensor
) -> list[Step]:
    """With respect to the logits: p Σt − t."""
    arrays = {"prediction": probabilities, "target": target, "weight": weight, "out": out}
    return _rows_gradient(softmax_gradient_worker, arrays, smoothing)


def cross_entropy(probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, loss: Tensor) -> list[Step]:
    """−Σ t log q with q = p / Σp clipped to [1e-7, 1 − 1e-7], as Keras does with probabilities."""
    arrays = {"prediction": probabilities, "target": target, "weight": weight, "loss": loss, "probabilities": NOWHERE}
    return _loss(cross_entropy_worker, arrays, smoothing, probabilities.shape[-1])


def cross_entropy_gradient(
    probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, out: Tensor
) -> list[Step]:
    """With respect to p: (T − t/q) / Σp where q was not clipped, T / Σp where it was; T is Σt over the unclipped."""
    arrays = {"prediction": probabilities, "target": target, "weight": weight, "out": out}
    return _rows_gradient(cross_entropy_gradient_worker, arrays, smoothing)


def sigmoid_cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor, smoothing: float, loss: Tensor, probabilities: Tensor
) -> list[Step]:
    """Mean of max(z, 0) − z·t + log(1 + e^−|z|); fills `probabilities` with sigmoid(logits)."""
    arrays = {"prediction": logits, "target": target, "weight": weight, "loss": loss, "probabilities": probabilities}
    return _loss(element_loss_worker, arrays, smoothing, 2, SIGMOID)


def sigmoid_cross_entropy_gradient(
    probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, out: Tensor
) -> list[Step]:
    """With respect to the logits: p − t."""
    arrays = {"prediction": probabilities, "target": target, "weight": weight, "out": out}
    return _gradient(difference_worker, arrays, smoothing, 1)


def binary_cross_entropy(
    probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, loss: Tensor
) -> list[Step]:
    """Mean of −t log q − (1 − t) log(1 − q), q = p clipped to [1e-7, 1 − 1e-7]."""
    arrays = {"prediction": probabilities, "target": target, "weight": weight, "loss": loss, "probabilities": NOWHERE}
    return _loss(element_loss_worker, arrays, smoothing, 2, BINARY)


def binary_cross_entropy_gradient(
    probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, out: Tensor
) -> list[Step]:
    """With respect to p: (p − t) / (p(1 − p)), 0 where p was clipped."""
    arrays = {"prediction": probabilities, "target": target, "weight": weight, "out": out}
    return _gradient(binary_gradient_worker, arrays, smoothing, 1)


def mean_squared_error(prediction: Tensor, target: Tensor, weight: Tensor, loss: Tensor) -> list[Step]:
    """Mean of (prediction − target)²."""
    arrays = {"prediction": prediction, "target": target, "weight": weight, "loss": loss, "probabilities": NOWHERE}
    return _loss(element_loss_worker, arrays, 0, 2, SQUARED)


def mean_squared_error_gradient(prediction: Tensor, target: Tensor, weight: Tensor, out: Tensor) -> list[Step]:
    """With respect to the prediction: 2 (prediction − target)."""
    arrays = {"prediction": prediction, "target": target, "weight": weight, "out": out}
    return _gradient(difference_worker, arrays, 0, 2)


def _layout(x: Tensor) -> tuple[int, int, int]:
    """(samples, positions of a sample, classes of a position)."""
    samples, classes = x.shape[0], x.shape[-1] if len(x.shape) > 1 else 1
    return samples, x.size // (samples * classes), classes


def _addresses(arrays: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: array.address for name, array in arrays.items()}


def _loss(
    loss_worker: Worker, arrays: Mapping[str, Tensor], smoothing: float, choices: int, *variant: int
) -> list[Step]:
    """`choices`: among how many outcomes smoothing spreads its share."""
    samples, positions, classes = _layout(arrays["prediction"])
    per_chunk = max(1, SPAN // (positions * classes))
    return [
        loss_worker.step(
            arrays["loss"].dtype,
            -(-samples // per_chunk),
            *variant,
            **_addresses(arrays),
            samples=samples,
            positions=positions,
            classes=classes,
            per_chunk=per_chunk,
            keep=1 - smoothing,
            share=smoothing / choices,
        )
    ]


def _rows_gradient(gradient_worker: Worker, arrays: Mapping[str, Tensor], smoothing: float) -> list[Step]:
    """A gradient that needs a whole row at once."""
    samples, positions, classes = _layout(arrays["out"])
    rows, per_chunk = samples * positions, max(1, SPAN // classes)
    return [
        gradient_worker.step(
            arrays["out"].dtype,
            -(-rows // per_chunk),
            **_addresses(arrays),
            rows=rows,
            positions=positions,
            classes=classes,
            per_chunk=per_chunk,
            keep=1 - smoothing,
            share=smoothing / classes,
            scale=1 / rows,
        )
    ]


def _gradient(gradient_worker: Worker, arrays: Mapping[str, Tensor], smoothing: float, factor: float) -> list[Step]:
    """A gradient that is computed element by element, times `factor`."""
    out = arrays["out"]
    return [
        gradient_worker.step(
            out.dtype,
            chunks(out.size),
            **_addresses(arrays),
            size=out.size,
            sample=out.size // out.shape[0],
            keep=1 - smoothing,
            share=smoothing / 2,
            scale=factor / out.size,
        )
    ]


@worker(LOSS)
def softmax_cross_entropy_worker(real):
    """Loss and probabilities of one chunk's samples."""
    item = real.bitwidth // 8

    def softmax_cross_entropy(parameters, chunk, thread):
        p = fields(parameters, LOSS)
        classes, keep, share = p.classes, p.keep, p.share
        weight, loss = view(p.weight, p.samples, real), view(p.loss, p.samples, real)
        for n in range(chunk * p.per_chunk, min(p.samples, (chunk + 1) * p.per_chunk)):
            total = types.float64(0)
            for position in range(p.positions):
                skip = (n * p.positions + position) * classes * item
                z, t, out = p.prediction + skip, p.target + skip, p.probabilities + skip
                shift = largest(z, classes, real)
                mass, dot = expected_logits(0, (z, t), (), 0, classes, (shift, keep, share), real)
                (partition,) = exponentials(0, (z,), (out,), 0, classes, (shift,), real)
                total += mass * scalar_log(partition) - dot
                divided(0, (out,), (out,), 0, classes, (real(partition),), real)
            loss[n] = total / p.positions * weight[n]

    return softmax_cross_entropy


@worker(ROWS_GRADIENT)
def softmax_gradient_worker(real):
    """The gradient of one chunk's rows."""
    item = real.bitwidth // 8

    def softmax_cross_entropy_gradient(parameters, chunk, thread):
        p = fields(parameters, ROWS_GRADIENT)
        classes, keep, share = p.classes, p.keep, p.share
        weight = view(p.weight, p.rows // p.positions, real)
        for row in range(chunk * p.per_chunk, min(p.rows, (chunk + 1) * p.per_chunk)):
            skip, scale = row * classes * item, p.scale * weight[row // p.positions]
            t = p.target + skip
            (mass,) = masses(0, (t,), (), 0, classes, (keep, share), real)
            rows = p.prediction + skip, t
            slopes(SOFTMAX_SLOPE, rows, (p.out + skip,), 0, classes, (mass, keep, share, scale), real)

    return softmax_cross_entropy_gradient


@worker(LOSS)
def cross_entropy_worker(real):
    """Loss of one chunk's samples."""
    item = real.bitwidth // 8

    def cross_entropy(parameters, chunk, thread):
        p = fields(parameters, LOSS)
        classes, keep, share = p.classes, p.keep, p.share
        weight, loss = view(p.weight, p.samples, real), view(p.loss, p.samples, real)
        for n in range(chunk * p.per_chunk, min(p.samples, (chunk + 1) * p.per_chunk)):
            total = types.float64(0)
            for position in range(p.positions):
                skip = (n * p.positions + position) * classes * item
                q, t = p.prediction + skip, p.target + skip
                (mass,) = sums(0, (q,), (), 0, classes, (), real)
                (dot,) = expected_logs(0, (q, t), (), 0, classes, (mass, keep, share), real)
                total -= dot
            loss[n] = total / p.positions * weight[n]

    return cross_entropy


@worker(ROWS_GRADIENT)
def cross_entropy_gradient_worker(real):
    """The gradient of one chunk's rows."""
    item = real.bitwidth // 8

    def cross_entropy_gradient(parameters, chunk, thread):
        p = fields(parameters, ROWS_GRADIENT)
        classes, keep, share = p.classes, p.keep, p.share
        weight = view(p.weight, p.rows // p.positions, real)
        for row in range(chunk * p.per_chunk, min(p.rows, (chunk + 1) * p.per_chunk)):
            skip, scale = row * classes * item, p.scale * weight[row // p.positions]
            q, t = p.prediction + skip, p.target + skip
            (mass,) = sums(0, (q,), (), 0, classes, (), real)
            (reached,) = reaches(0, (q, t), (), 0, classes, (mass, keep, share), real)
            slopes(SLOPE, (q, t), (p.out + skip,), 0, classes, (mass, reached, keep, share, scale), real)

    return cross_entropy_gradient


@worker(LOSS)
def element_loss_worker(real, kind):
    """Loss of one chunk's samples for SIGMOID (fills the probabilities, too), BINARY or SQUARED."""
    item = real.bitwidth // 8

    def element_loss(parameters, chunk, thread):
        p = fields(parameters, LOSS)
        size, numbers = p.positions * p.classes, (p.keep, p.share)
        weight, loss = view(p.weight, p.samples, real), view(p.loss, p.samples, real)
        for n in range(chunk * p.per_chunk, min(p.samples, (chunk + 1) * p.per_chunk)):
            skip = n * size * item
            x, t = p.prediction + skip, p.target + skip
            if kind == SIGMOID:
                (total,) = element_losses(kind, (x, t), (p.probabilities + skip,), 0, size, numbers, real)
            else:
                (total,) = element_losses(kind, (x, t), (), 0, size, numbers, real)
            loss[n] = total / size * weight[n]

    return element_loss


@worker(GRADIENT)
def binary_gradient_worker(real):
    """The gradient of one span."""

    def binary_cross_entropy_gradient(parameters, chunk, thread):
        p = fields(parameters, GRADIENT)
        start, stop = span(chunk, p.size)
        weight, rows = view(p.weight, p.size // p.sample, real), (p.prediction, p.target)
        while start < stop:
            sample = start // p.sample
            end, scale = min(stop, (sample + 1) * p.sample), p.scale * weight[sample]
            slopes(BINARY_SLOPE, rows, (p.out,), start, end, (p.keep, p.share, scale), real)
            start = end

    return binary_cross_entropy_gradient


@worker(GRADIENT)
def difference_worker(real):
    """(prediction − target) · weight · scale for one span."""

    def difference(parameters, chunk, thread):
        p = fields(parameters, GRADIENT)
        start, stop = span(chunk, p.size)
        weight, rows = view(p.weight, p.size // p.sample, real), (p.prediction, p.target)
        keep, share = real(p.keep), real(p.share)
        while start < stop:
            sample = start // p.sample
            end, scale = min(stop, (sample + 1) * p.sample), real(p.scale * weight[sample])
            slopes(DIFFERENCE, rows, (p.out,), start, end, (keep, share, scale), real)
            start = end

    return difference
