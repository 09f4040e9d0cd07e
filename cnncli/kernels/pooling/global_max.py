"""The maximum over all pixels of an image, channels last, and its gradient, distributed evenly over equal maxima.

This matches Keras' GlobalMaxPooling2D; in MaxPooling2D the gradient goes to the first of equal maxima.
"""

from math import inf

from cnncli.kernels.jit.runtime import Step, Tensor, block, fields, images, worker
from cnncli.kernels.vector.emit import Code, Variable, emitted
from cnncli.kernels.vector.lanes import Vector

FORWARD = block("x out pixels channels")
BACKWARD = block("x y grad out pixels channels")


def forward(x: Tensor, out: Tensor) -> list[Step]:
    """out[n, c] = max x[n, …, c]; NaN if any is NaN. x: real (N, H, W, C); out: (N, C)."""
    sizes = {"pixels": x.size // out.size, "channels": x.shape[-1]}
    return [forward_worker.step(out.dtype, images(x.shape[0]), x=x.address, out=out.address, **sizes)]


def backward(x: Tensor, y: Tensor, grad: Tensor, out: Tensor) -> list[Step]:
    """Distribute the gradient evenly over pixels equal to the maximum y. x, out: real (N, H, W, C); y, grad: (N, C)."""
    places = {"x": x.address, "y": y.address, "grad": grad.address, "out": out.address}
    sizes = {"pixels": x.size // y.size, "channels": x.shape[-1]}
    return [backward_worker.step(out.dtype, images(x.shape[0]), **places, **sizes)]


@emitted()
def _largest(code: Code, x: Vector, out: Vector, pixels: Vector, channels: Vector) -> None:
    def over(index: Vector, mask: Vector | None) -> None:
        best = Variable(code.full(-inf))
        with code.loop(pixels) as q:
            new, old = code.load(x, q * channels + index, mask), best.get()
            best.set(new.where(new.more(old) & old.number(), old))
        code.store(best.get(), out, index, mask)

    code.sweep(code.word(0), channels, over)


@emitted()
def _shared(code: Code, places: list[Vector], pixels: Vector, channels: Vector) -> None:
    x, y, grad, out = places

    def over(index: Vector, mask: Vector | None) -> None:
        best, count = code.load(y, index, mask), Variable(code.full(0.0))
        one, none = code.full(1.0), code.full(0.0)
        with code.loop(pixels) as q:
            count.set(count.get() + one.where(code.load(x, q * channels + index, mask).same(best), none))
        share = code.load(grad, index, mask) / count.get()
        with code.loop(pixels) as q:
            place = q * channels + index
            code.store(share.where(code.load(x, place, mask).same(best), none), out, place, mask)

    code.sweep(code.word(0), channels, over)


@worker(FORWARD)
def forward_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def largest(parameters, start, stop, thread):
        p = fields(parameters, FORWARD)
        for number in range(start, stop):
            image = number * p.channels * item
            _largest(p.x + image * p.pixels, p.out + image, p.pixels, p.channels, real)

    return largest


@worker(BACKWARD)
def backward_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def shared(parameters, start, stop, thread):
        p = fields(parameters, BACKWARD)
        for number in range(start, stop):
            image = number * p.channels * item
            whole = image * p.pixels
            _shared((p.x + whole, p.y + image, p.grad + image, p.out + whole), p.pixels, p.channels, real)

    return shared
