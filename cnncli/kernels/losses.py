"""Losses and their gradients.

Predictions (`logits`, `probabilities`, `prediction`), `target` and `out`: (N, …, classes), or (N,) for one number a
sample; target may hold probabilities and is dense (one-hot rows, not indices). `weight`, `loss`: (N,). All float32 or
float64 of one dtype. `out` and `probabilities` may be the same array as the prediction.

`loss` gets a sample's mean over its positions (all axes between the first and the last), for the binary losses and the
squared error also over the last axis, times its weight. Gradients are those of the mean of `loss` over the batch.
`smoothing` is Keras' label_smoothing α: t(1 − α) + α/classes, for binary losses t(1 − α) + α/2.
Sums over a row and a sample are plain chains in float64.
"""

from collections.abc import Mapping
from math import exp, log, log1p

from numba import njit, types

from cnncli.kernels.activations import logistic
from cnncli.kernels.runtime import SPAN, Step, Tensor, Worker, block, chunks, fields, span, view, worker

EPSILON = 1e-7
LOSS = block("prediction target weight loss probabilities samples positions classes per_chunk keep:f share:f")
ROWS_GRADIENT = block("prediction target weight out rows positions classes per_chunk keep:f share:f scale:f")
GRADIENT = block("prediction target weight out size sample keep:f share:f scale:f")

SIGMOID, BINARY, SQUARED = range(3)
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


@njit(inline="always")
def _clip(p, real):  # type: ignore[no-untyped-def]
    """p within [1e-7, 1 − 1e-7], rounded to the dtype as in Keras (1 − 1.19e-7 in float32); NaN stays."""
    low, high = types.float64(real(EPSILON)), types.float64(real(1 - EPSILON))
    return low if p < low else (high if p > high else p)


@worker(LOSS)
def softmax_cross_entropy_worker(real):  # type: ignore[no-untyped-def]
    """Loss and probabilities of one chunk's samples."""

    def softmax_cross_entropy(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, LOSS)
        shape, classes, keep, share = (p.samples, p.positions, p.classes), p.classes, p.keep, p.share
        logits, target = view(p.prediction, shape, real), view(p.target, shape, real)
        weight, loss = view(p.weight, p.samples, real), view(p.loss, p.samples, real)
        probabilities = view(p.probabilities, shape, real)
        for n in range(chunk * p.per_chunk, min(p.samples, (chunk + 1) * p.per_chunk)):
            total = types.float64(0)
            for position in range(p.positions):
                z, t, out = logits[n, position], target[n, position], probabilities[n, position]
                largest = z[0]
                for c in range(1, classes):
                    largest = max(largest, z[c])
                partition, mass, dot = types.float64(0), types.float64(0), types.float64(0)
                for c in range(classes):
                    wanted, logit = t[c] * keep + share, z[c] - largest
                    out[c] = exp(logit)
                    partition += out[c]
                    mass += wanted
                    if wanted != 0:  # a logit of −inf costs nothing where nothing is wanted
                        dot += wanted * logit
                total += mass * log(partition) - dot
                for c in range(classes):
                    out[c] = out[c] / partition
            loss[n] = total / p.positions * weight[n]

    return softmax_cross_entropy


@worker(ROWS_GRADIENT)
def softmax_gradient_worker(real):  # type: ignore[no-untyped-def]
    """The gradient of one chunk's rows."""

    def softmax_cross_entropy_gradient(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, ROWS_GRADIENT)
        shape, classes, keep, share = (p.rows, p.classes), p.classes, p.keep, p.share
        prediction, target = view(p.prediction, shape, real), view(p.target, shape, real)
        out, weight = view(p.out, shape, real), view(p.weight, p.rows // p.positions, real)
        for row in range(chunk * p.per_chunk, min(p.rows, (chunk + 1) * p.per_chunk)):
            scale = p.scale * weight[row // p.positions]
            q, t, gradient = prediction[row], target[row], out[row]
            mass = types.float64(0)
            for c in range(classes):
                mass += t[c] * keep + share
            for c in range(classes):
                gradient[c] = (q[c] * mass - (t[c] * keep + share)) * scale

    return softmax_cross_entropy_gradient


@worker(LOSS)
def cross_entropy_worker(real):  # type: ignore[no-untyped-def]
    """Loss of one chunk's samples."""

    def cross_entropy(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, LOSS)
        shape, classes, keep, share = (p.samples, p.positions, p.classes), p.classes, p.keep, p.share
        probabilities, target = view(p.prediction, shape, real), view(p.target, shape, real)
        weight, loss = view(p.weight, p.samples, real), view(p.loss, p.samples, real)
        for n in range(chunk * p.per_chunk, min(p.samples, (chunk + 1) * p.per_chunk)):
            total = types.float64(0)
            for position in range(p.positions):
                q, t = probabilities[n, position], target[n, position]
                mass = types.float64(0)
                for c in range(classes):
                    mass += q[c]
                for c in range(classes):
                    total -= (t[c] * keep + share) * log(_clip(q[c] / mass, real))
            loss[n] = total / p.positions * weight[n]

    return cross_entropy


@worker(ROWS_GRADIENT)
def cross_entropy_gradient_worker(real):  # type: ignore[no-untyped-def]
    """The gradient of one chunk's rows."""

    def cross_entropy_gradient(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, ROWS_GRADIENT)
        shape, classes, keep, share = (p.rows, p.classes), p.classes, p.keep, p.share
        prediction, target = view(p.prediction, shape, real), view(p.target, shape, real)
        out, weight = view(p.out, shape, real), view(p.weight, p.rows // p.positions, real)
        for row in range(chunk * p.per_chunk, min(p.rows, (chunk + 1) * p.per_chunk)):
            scale = p.scale * weight[row // p.positions]
            probabilities, t, gradient = prediction[row], target[row], out[row]
            mass, reached = types.float64(0), types.float64(0)
            for c in range(classes):
                mass += probabilities[c]
            for c in range(classes):
                q = probabilities[c] / mass
                reached += t[c] * keep + share if q == _clip(q, real) else 0.0
            for c in range(classes):
                q = probabilities[c] / mass
                own = (t[c] * keep + share) / q if q == _clip(q, real) else 0.0
                gradient[c] = (reached - own) / mass * scale

    return cross_entropy_gradient


@worker(LOSS)
def element_loss_worker(real, kind):  # type: ignore[no-untyped-def]
    """Loss of one chunk's samples for SIGMOID (fills the probabilities, too), BINARY or SQUARED."""

    def element_loss(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, LOSS)
        shape, keep, share = (p.samples, p.positions * p.classes), p.keep, p.share
        prediction, target = view(p.prediction, shape, real), view(p.target, shape, real)
        weight, loss = view(p.weight, p.samples, real), view(p.loss, p.samples, real)
        probabilities = view(p.probabilities, shape, real)
        for n in range(chunk * p.per_chunk, min(p.samples, (chunk + 1) * p.per_chunk)):
            total = types.float64(0)
            for i in range(shape[1]):
                x, wanted = prediction[n, i], target[n, i] * keep + share
                if kind == SIGMOID:
                    total += max(x, real(0)) - x * wanted + log1p(exp(-abs(x)))
                    probabilities[n, i] = logistic(x, real(1))
                elif kind == BINARY:
                    q = _clip(types.float64(x), real)
                    total -= wanted * log(q) + (1 - wanted) * log1p(-q)
                else:
                    total += (x - wanted) * (x - wanted)
            loss[n] = total / shape[1] * weight[n]

    return element_loss


@worker(GRADIENT)
def binary_gradient_worker(real):  # type: ignore[no-untyped-def]
    """The gradient of one span."""

    def binary_cross_entropy_gradient(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, GRADIENT)
        start, stop = span(chunk, p.size)
        prediction, target = view(p.prediction, p.size, real), view(p.target, p.size, real)
        weight, out = view(p.weight, p.size // p.sample, real), view(p.out, p.size, real)
        keep, share = p.keep, p.share
        while start < stop:
            sample = start // p.sample
            end, scale = min(stop, (sample + 1) * p.sample), p.scale * weight[sample]
            probabilities, t, gradient = prediction[start:end], target[start:end], out[start:end]
            for i in range(end - start):
                q = types.float64(probabilities[i])
                slope = (q - (t[i] * keep + share)) / (q * (1 - q))
                clipped = abs(q - _clip(q, real)) > 0  # not !=: NaN must pass
                gradient[i] = 0.0 if clipped else slope * scale
            start = end

    return binary_cross_entropy_gradient


@worker(GRADIENT)
def difference_worker(real):  # type: ignore[no-untyped-def]
    """(prediction − target) · weight · scale for one span."""

    def difference(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, GRADIENT)
        start, stop = span(chunk, p.size)
        prediction, target = view(p.prediction, p.size, real), view(p.target, p.size, real)
        weight, out = view(p.weight, p.size // p.sample, real), view(p.out, p.size, real)
        keep, share = real(p.keep), real(p.share)
        while start < stop:
            sample = start // p.sample
            end, scale = min(stop, (sample + 1) * p.sample), real(p.scale * weight[sample])
            guess, t, gradient = prediction[start:end], target[start:end], out[start:end]
            for i in range(end - start):
                gradient[i] = (guess[i] - (t[i] * keep + share)) * scale
            start = end

    return difference
