"""Losses and their gradients.

Predictions (`logits`, `probabilities`, `prediction`), `target` and `out`: (N, …, classes), or (N,) for one number a
sample; target may hold probabilities and is dense (one-hot rows, not indices). `weight`, `loss`: (N,). All float32 or
float64 of one dtype. `out` and `probabilities` may be the same array as the prediction.

`loss` gets a sample's mean over its positions (all axes between the first and the last), for the binary losses and the
squared error also over the last axis, times its weight. Gradients are those of the mean of `loss` over the batch.
`smoothing` is Keras' label_smoothing α: t(1 − α) + α/classes, for binary losses t(1 − α) + α/2.
Sums over a row have 16 lanes in float64; those over a sample's rows are plain chains.
"""

from numba import types

from cnncli.kernels.elementwise.softmax import divided, exponentials
from cnncli.kernels.jit.runtime import SPAN, Step, Tensor, Worker, block, fields, view, worker
from cnncli.kernels.losses.loss_formulas import (
    BINARY,
    CROSS_ENTROPY,
    DIFFERENCE,
    ELEMENTWISE,
    SIGMOID,
    SLOPES,
    SOFTMAX,
    SPARSE,
    SQUARED,
    clipped_sums,
    element_losses,
    expected_logits,
    expected_logs,
    masses,
    reaches,
    scalar_log,
    slopes,
    sums,
)
from cnncli.kernels.vector.sweeps import largest

LOSS = block("prediction target weight loss out samples positions length per_chunk terms keep:f share:f scale:f")


def softmax_cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor, smoothing: float, loss: Tensor, probabilities: Tensor
) -> list[Step]:
    """−Σ t log softmax(logits); fills `probabilities` with softmax(logits)."""
    return _steps(loss_worker, SOFTMAX, logits, target, weight, smoothing, loss=loss, out=probabilities)


def softmax_cross_entropy_gradient(
    probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, out: Tensor
) -> list[Step]:
    """With respect to the logits: p Σt − t."""
    return _steps(gradient_worker, SOFTMAX, probabilities, target, weight, smoothing, out=out)


def cross_entropy(probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, loss: Tensor) -> list[Step]:
    """−Σ t log q with q = p / Σp clipped to [1e-7, 1 − 1e-7], as Keras does with probabilities."""
    return _steps(loss_worker, CROSS_ENTROPY, probabilities, target, weight, smoothing, loss=loss)


def cross_entropy_gradient(
    probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, out: Tensor
) -> list[Step]:
    """With respect to p: (T − t/q) / Σp where q was not clipped, T / Σp where it was; T is Σt over the unclipped."""
    return _steps(gradient_worker, CROSS_ENTROPY, probabilities, target, weight, smoothing, out=out)


def sparse_cross_entropy(
    probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, loss: Tensor
) -> list[Step]:
    """−Σ t log(q / Σq) with q = p clipped to [1e-7, 1 − 1e-7], as Keras does where targets are class numbers."""
    return _steps(loss_worker, SPARSE, probabilities, target, weight, smoothing, loss=loss)


def sparse_cross_entropy_gradient(
    probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, out: Tensor
) -> list[Step]:
    """With respect to p: Σt / Σq − t/q, 0 where p was clipped."""
    return _steps(gradient_worker, SPARSE, probabilities, target, weight, smoothing, out=out)


def sigmoid_cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor, smoothing: float, loss: Tensor, probabilities: Tensor
) -> list[Step]:
    """Mean of max(z, 0) − z·t + log(1 + e^−|z|); fills `probabilities` with sigmoid(logits)."""
    return _steps(loss_worker, SIGMOID, logits, target, weight, smoothing, loss=loss, out=probabilities)


def sigmoid_cross_entropy_gradient(
    probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, out: Tensor
) -> list[Step]:
    """With respect to the logits: p − t."""
    return _steps(gradient_worker, DIFFERENCE, probabilities, target, weight, smoothing, out=out)


def binary_cross_entropy(
    probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, loss: Tensor
) -> list[Step]:
    """Mean of −t log q − (1 − t) log(1 − q), q = p clipped to [1e-7, 1 − 1e-7]."""
    return _steps(loss_worker, BINARY, probabilities, target, weight, smoothing, loss=loss)


def binary_cross_entropy_gradient(
    probabilities: Tensor, target: Tensor, weight: Tensor, smoothing: float, out: Tensor
) -> list[Step]:
    """With respect to p: (p − t) / (p(1 − p)), 0 where p was clipped."""
    return _steps(gradient_worker, BINARY, probabilities, target, weight, smoothing, out=out)


def mean_squared_error(prediction: Tensor, target: Tensor, weight: Tensor, loss: Tensor) -> list[Step]:
    """Mean of (prediction − target)²."""
    return _steps(loss_worker, SQUARED, prediction, target, weight, 0, loss=loss)


def mean_squared_error_gradient(prediction: Tensor, target: Tensor, weight: Tensor, out: Tensor) -> list[Step]:
    """With respect to the prediction: 2 (prediction − target)."""
    return _steps(gradient_worker, DIFFERENCE, prediction, target, weight, 0, out=out, factor=2)


def _steps(
    losses: Worker,
    kind: str,
    prediction: Tensor,
    target: Tensor,
    weight: Tensor,
    smoothing: float,
    *,
    loss: Tensor | None = None,
    out: Tensor | None = None,
    factor: int = 1,
) -> list[Step]:
    """One step; a chunk has some whole samples, whose rows are their positions' classes, or all there is of each."""
    samples, size = prediction.shape[0], prediction.size
    by_class = kind in (SOFTMAX, CROSS_ENTROPY, SPARSE)
    length = (1, *prediction.shape[1:])[-1] if by_class else size // samples
    terms = size // samples // length if by_class else length
    per_chunk = max(1, SPAN * samples // size)
    return [
        losses.step(
            prediction.dtype,
            -(-samples // per_chunk),
            kind,
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
            share=smoothing / (length if by_class else 2),
            scale=factor / (samples * terms),
        )
    ]


@worker(LOSS)
def loss_worker(real, kind):
    """Losses of one chunk's samples; SOFTMAX and SIGMOID fill the probabilities, too."""
    item, number = real.bitwidth // 8, ELEMENTWISE.get(kind)

    def loss(parameters, chunk, _, thread):
        p = fields(parameters, LOSS)
        keep, share = p.keep, p.share
        weight, loss = view(p.weight, p.samples, real), view(p.loss, p.samples, real)
        for n in range(chunk * p.per_chunk, min(p.samples, (chunk + 1) * p.per_chunk)):
            total = types.float64(0)
            for row in range(n * p.positions, (n + 1) * p.positions):
                length = p.length  # read here, so that LLVM does not write the loop out twice, with and without a rest
                skip = row * length * item
                x, t, out = p.prediction + skip, p.target + skip, p.out + skip
                if kind == SOFTMAX:
                    shift = largest(x, length, real)
                    mass, dot = expected_logits(0, (x, t), (), 0, length, (shift, keep, share), real)
                    (partition,) = exponentials(0, (x,), (out,), 0, length, (shift,), real)
                    total += mass * scalar_log(partition) - dot
                    divided(0, (out,), (out,), 0, length, (real(partition),), real)
                elif kind == CROSS_ENTROPY:
                    (mass,) = sums(0, (x,), (), 0, length, (), real)
                    (dot,) = expected_logs(0, (x, t), (), 0, length, (mass, keep, share), real)
                    total -= dot
                elif kind == SPARSE:
                    partition, mass, dot = clipped_sums(0, (x, t), (), 0, length, (keep, share), real)
                    total += mass * scalar_log(partition) - dot
                elif kind == SIGMOID:
                    (total,) = element_losses(number, (x, t), (out,), 0, length, (keep, share), real)
                else:
                    (total,) = element_losses(number, (x, t), (), 0, length, (keep, share), real)
            loss[n] = total / p.terms * weight[n]

    return loss


@worker(LOSS)
def gradient_worker(real, kind):
    """Gradients of one chunk's samples."""
    item, number = real.bitwidth // 8, SLOPES[kind]
    precise = real if kind == DIFFERENCE else types.float64

    def gradient(parameters, chunk, _, thread):
        p = fields(parameters, LOSS)
        keep, share = p.keep, p.share
        weight = view(p.weight, p.samples, real)
        for n in range(chunk * p.per_chunk, min(p.samples, (chunk + 1) * p.per_chunk)):
            scale = p.scale * weight[n]
            for row in range(n * p.positions, (n + 1) * p.positions):
                length = p.length  # here, as in `loss_worker`
                skip = row * length * item
                x, t, outputs = p.prediction + skip, p.target + skip, (p.out + skip,)
                if kind == SOFTMAX:
                    (mass,) = masses(0, (t,), (), 0, length, (keep, share), real)
                    slopes(number, (x, t), outputs, 0, length, (mass, keep, share, scale), real)
                elif kind == CROSS_ENTROPY:
                    (mass,) = sums(0, (x,), (), 0, length, (), real)
                    (reached,) = reaches(0, (x, t), (), 0, length, (mass, keep, share), real)
                    slopes(number, (x, t), outputs, 0, length, (mass, reached, keep, share, scale), real)
                elif kind == SPARSE:
                    partition, mass, _ = clipped_sums(0, (x, t), (), 0, length, (keep, share), real)
                    slopes(number, (x, t), outputs, 0, length, (partition, mass, keep, share, scale), real)
                else:
                    numbers = precise(keep), precise(share), precise(scale)
                    slopes(number, (x, t), outputs, 0, length, numbers, real)

    return gradient
