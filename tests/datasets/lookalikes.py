"""Images of known resemblance: pictures like photographs, and changes that leave them nearly the same."""

from io import BytesIO

import numpy as np
from PIL import Image


def photograph(generator, side=96):
    """Noise with the spectrum of photographs, 1/f, whose colors are alike: uint8 (side, side, 3)."""
    steps = np.fft.fftfreq(side)
    frequency = np.hypot(steps[:, None], steps)
    frequency[0, 0] = 1
    noise = np.fft.fft2(generator.normal(size=(4, side, side))) / frequency**1.2
    layers = np.fft.ifft2(noise).real
    pixels = (layers[:1] + 0.3 * layers[1:]).transpose(1, 2, 0)
    return (128 + 45 * (pixels - pixels.mean()) / pixels.std()).clip(0, 255).astype(np.uint8)


def sign(generator, side=48):
    """A bright disc with a dark bar on a noisy background: one object, wherever it is seen."""
    ys, xs = np.mgrid[:side, :side] - side / 2
    angle = generator.uniform(0, np.pi)
    disc = np.hypot(xs, ys) < side * generator.uniform(0.25, 0.45)
    bar = np.abs(xs * np.cos(angle) + ys * np.sin(angle)) < side * generator.uniform(0.04, 0.12)
    image = photograph(generator, side).astype(np.float64)
    image[disc] = generator.uniform(150, 255, 3)
    image[disc & bar] = generator.uniform(0, 80, 3)
    return image.clip(0, 255).astype(np.uint8)


def track(generator, frames, side=48):
    """So many frames of one sign: each a little brighter or darker and noisier than the last."""
    first = sign(generator, side).astype(np.float64)
    for _ in range(frames):
        noise = generator.normal(0, 3, first.shape)
        yield (first * generator.uniform(0.8, 1.0) + noise).clip(0, 255).astype(np.uint8)


def reencoded(pixels, quality=60):
    """Written as JPEG and read."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file))


def resized(pixels, side):
    """Of another size, smoothed."""
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))


def brightened(pixels, by):
    """Brighter or darker by so many levels."""
    return (pixels.astype(np.int64) + by).clip(0, 255).astype(np.uint8)


def shifted(pixels, by=1):
    """To the right by so many pixels."""
    return np.roll(pixels, by, axis=1)


CHANGES = {
    "JPEG": reencoded,
    "half the size": lambda pixels: resized(pixels, len(pixels) // 2),
    "larger": lambda pixels: resized(pixels, len(pixels) * 3 // 2),
    "brighter": lambda pixels: brightened(pixels, 30),
    "darker": lambda pixels: brightened(pixels, -30),
    "less contrast": lambda pixels: (128 + 0.7 * (pixels - 128.0)).astype(np.uint8),
    "shifted": shifted,
}
