"""Images moved, pixel by pixel in float64: the twin of `kernels/augment/affine.py`.

Places outside are found by extending the image, where the kernel changes the place.
"""

import numpy as np

from cnncli.kernels.batch.random import bits


def fractions(seed, stream, step, count):
    """Four numbers in (0, 1) for each of `count` images: float64 (count, 4), odd multiples of 2⁻⁵³."""
    words = [int(word) for word in bits(seed, stream, step, 8 * count)]
    numbers = [((words[2 * k] << 32 | words[2 * k + 1]) // 2**12 * 2 + 1) / 2**53 for k in range(4 * count)]
    return np.array(numbers).reshape(count, 4)


def between(bounds, fraction):
    return bounds[0] + (bounds[1] - bounds[0]) * fraction


def around_the_middle(matrix, height, width):
    """The 2 × 2 `matrix` of (x, y), about the middle of the image, as (a0, a1, a2, b0, b1, b2)."""
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    rest = middle - matrix @ middle
    return np.column_stack([matrix, rest]).ravel()


def flipped(image, drawn, *, rows, columns):
    if drawn[0] > 0.5:
        return image
    return image[:: -1 if rows else 1, :: -1 if columns else 1]


def cropped(image, drawn, padding):
    (top, bottom), (left, right) = padding
    height, width, _ = image.shape
    framed = np.pad(image, (*padding, (0, 0)))
    row, column = int(drawn[0] * (top + bottom + 1)), int(drawn[1] * (left + right + 1))
    return framed[row : row + height, column : column + width]


def moved(image, matrix, fill, *, nearest, value):
    """Each pixel (x, y) of the result is the image at `matrix` · (x, y, 1); the matrix is rounded to float32."""
    a0, a1, a2, b0, b1, b2 = (float(number) for number in np.asarray(matrix, np.float32))
    out = np.empty(image.shape)
    for y, x in np.ndindex(image.shape[:2]):
        out[y, x] = sample(image, a0 * x + a1 * y + a2, b0 * x + b1 * y + b2, fill, nearest, value)
    return out


def sample(image, x, y, fill, nearest, value):
    """The image at a place: of the nearest pixel, or a mean of four."""
    height, width = image.shape[:2]
    if fill == "wrap":  # TensorFlow wraps the place, and by a share of length - 1
        x, y = wrapped(x, width), wrapped(y, height)

    def pixel(row, column):
        row, column = extended(row, height, fill), extended(column, width, fill)
        return value if row is None or column is None else image[row, column]

    if nearest:
        return pixel(int(np.floor(y + 0.5)), int(np.floor(x + 0.5)))
    row, column = int(np.floor(y)), int(np.floor(x))
    down, across = y - row, x - column
    above = (1 - across) * pixel(row, column) + across * pixel(row, column + 1)
    below = (1 - across) * pixel(row + 1, column) + across * pixel(row + 1, column + 1)
    return (1 - down) * above + down * below


def extended(index, length, fill):
    """The cell that stands for cell `index`, or None."""
    if fill == "reflect":
        return [*range(length), *reversed(range(length))][index % (2 * length)]
    if fill == "constant":
        return index if 0 <= index < length else None
    return min(max(index, 0), length - 1)


def wrapped(place, length):
    if length > 1 and place < 0:
        place += length * (int(-place / (length - 1)) + 1)
    elif length > 1 and place > length - 1:
        place -= length * int(place / (length - 1))
    return min(max(place, 0), length - 1)
