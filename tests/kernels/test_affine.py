"""Moves of images against a twin in float64, pixel by pixel, and by hand."""

import numpy as np
import pytest

from cnncli.kernels.augment import affine
from cnncli.kernels.jit.runtime import Scratch, tensor
from tests.kernels.agreement import DTYPES, assert_agree, same_bits_on_1_and_2_threads
from tests.kernels.support import execute
from tests.reference import affine as twin

SEED, STEP, STREAM = 2**40 + 5, 2**33 + 3, 300
FILLS = ("reflect", "wrap", "constant", "nearest")
SHAPES = [(9, 5, 7, 1), (4, 8, 6, 3), (3, 1, 5, 2), (3, 6, 1, 17)]


def move(images, kind, span, fill="constant", **options):
    """The images moved; the ones given stay."""
    out, clock = images.copy(), np.array([SEED, STEP, 0])
    options["fill"] = FILLS.index(fill)
    execute(
        lambda scratch: affine.transform(tensor(out), tensor(clock), scratch, STREAM, move=kind, span=span, **options)
    )
    return out


def drawn_images(shape, dtype):
    return np.random.default_rng(sum(shape)).normal(0, 1, shape).astype(dtype)


def matrices(kind, span, shape):
    """What is drawn for each image, from the formulas of Keras' layers."""
    batch, height, width, _ = shape
    rows, columns = span
    found = []
    for drawn in twin.fractions(SEED, STREAM, STEP, batch):
        y, x = twin.between(rows, drawn[0]), twin.between(columns, drawn[1])
        if kind == affine.SHIFT:
            found.append([1, 0, -x * width, 0, 1, -y * height])
        elif kind == affine.TURN:
            angle = np.deg2rad(360 * y)
            rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            found.append(twin.around_the_middle(rotation, height, width))
        elif kind in (affine.ZOOM, affine.ZOOM_EVENLY):
            scale = np.diag([x if kind == affine.ZOOM else y, y])
            found.append(twin.around_the_middle(scale, height, width))
        else:
            sign = -1 if drawn[2] > 0.5 else 1
            found.append([1, sign * x, 0, sign * y, 1, 0])
    return found


SPANS = {
    affine.SHIFT: ((-0.9, 0.8), (-0.7, 0.95)),
    affine.TURN: ((-0.5, 0.4), (0, 0)),
    affine.ZOOM: ((0.3, 1.9), (0.2, 2.0)),
    affine.ZOOM_EVENLY: ((0.4, 2.0), (0.0, 0.1)),
    affine.SHEAR: ((-0.8, 0.7), (-0.2, 0.9)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("kind", SPANS)
def test_moves_agree_with_the_twin_for_every_fill_mode_and_interpolation(kind, fill, dtype):
    for shape in SHAPES:
        images = drawn_images(shape, dtype)
        for nearest in (False, True):
            found = move(images, kind, SPANS[kind], fill, nearest=nearest, value=0.3)
            each = zip(images, matrices(kind, SPANS[kind], shape), strict=True)
            expected = [twin.moved(image, matrix, fill, nearest=nearest, value=0.3) for image, matrix in each]
            assert_agree(found, np.array(expected), (shape, nearest))


@pytest.mark.parametrize("dtype", DTYPES)
def test_flips_and_crops_move_whole_pixels_to_the_bit(dtype):
    for shape in SHAPES:
        images, drawn = drawn_images(shape, dtype), twin.fractions(SEED, STREAM, STEP, shape[0])
        for rows, columns in ((0, 1), (1, 0), (1, 1)):
            span = (rows, rows), (columns, columns)
            expected = [twin.flipped(*pair, rows=rows, columns=columns) for pair in zip(images, drawn, strict=True)]
            assert move(images, affine.FLIP, span).tobytes() == np.array(expected).tobytes()
        for padding in (((0, 0), (0, 0)), ((2, 1), (0, 4)), ((9, 9), (9, 9))):
            expected = [twin.cropped(*pair, padding) for pair in zip(images, drawn, strict=True)]
            (top, bottom), (left, right) = padding
            assert np.array_equal(move(images, affine.CROP, ((-top, bottom), (-left, right))), expected)


ROWS = {  # 1 2 3 moved by a number of pixels, as TensorFlow moves it; wrap goes once too far where all of it is passed
    "reflect": {1: [1, 1, 2], 2: [2, 1, 1], -1: [2, 3, 3], 0.5: [1, 1.5, 2.5]},
    "wrap": {1: [3, 1, 2], 2: [3, 3, 1], -1: [2, 3, 1], 0.5: [3, 1.5, 2.5]},
    "constant": {1: [9, 1, 2], 2: [9, 9, 1], -1: [2, 3, 9], 0.5: [5, 1.5, 2.5]},
    "nearest": {1: [1, 1, 2], 2: [1, 1, 1], -1: [2, 3, 3], 0.5: [1, 1.5, 2.5]},
}


@pytest.mark.parametrize("fill", FILLS)
def test_a_row_of_three_pixels_is_moved_as_worked_out_by_hand(fill):
    for pixels, expected in ROWS[fill].items():
        across = np.tile(np.float32([1, 2, 3]), (3, 1)).reshape(1, 3, 3, 1)
        still, share = (0, 0), (pixels / 3, pixels / 3)
        found = move(across, affine.SHIFT, (still, share), fill, nearest=False, value=9)
        assert np.array_equal(found[0, :, :, 0], [expected] * 3), (pixels, found)
        down = np.ascontiguousarray(across.swapaxes(1, 2))
        found = move(down, affine.SHIFT, (share, still), fill, nearest=False, value=9)
        assert np.array_equal(found[0, :, :, 0].T, [expected] * 3), (pixels, found)


def test_a_move_by_nothing_changes_no_bit():
    images = drawn_images((4, 6, 5, 2), "float32")
    images[0, 0, 0, 0] = -0.0
    nothing = {
        affine.SHIFT: (0, 0),
        affine.TURN: (0, 0),
        affine.ZOOM: (1, 1),
        affine.SHEAR: (0, 0),
        affine.CROP: (0, 0),
    }
    for kind, bounds in nothing.items():
        assert move(images, kind, (bounds, bounds), nearest=False).tobytes() == images.tobytes()


def test_each_image_step_seed_and_stream_draws_its_own():
    one = np.tile(drawn_images((1, 6, 6, 1), "float32"), (5, 1, 1, 1))

    def made(seed, step, stream):
        out, clock = one.copy(), np.array([seed, step, 0])
        span = SPANS[affine.SHIFT]
        execute(
            lambda scratch: affine.transform(
                tensor(out), tensor(clock), scratch, stream, move=affine.SHIFT, span=span, nearest=False
            )
        )
        return [image.tobytes() for image in out]

    every = [*made(0, 1, 2), *made(1, 1, 2), *made(0, 2, 2), *made(0, 1, 3)]
    assert len(set(every)) == 20
    assert made(0, 1, 2) == every[:5]


@pytest.mark.parametrize("kind", [affine.TURN, affine.ZOOM])
def test_the_number_of_threads_changes_no_bit(kind):
    images, clock = drawn_images((50, 28, 28, 1), "float32"), np.array([SEED, STEP, 0])
    measured = Scratch()
    places = tensor(images), tensor(clock)
    options = {"move": kind, "span": SPANS[kind], "fill": affine.REFLECT, "nearest": False}
    affine.transform(*places, measured, STREAM, **options)
    memory = np.zeros(2 * measured.used_by_thread + 64, np.uint8)

    def steps():
        scratch = Scratch(private=-(-memory.ctypes.data // 64) * 64, stride=measured.used_by_thread)
        return affine.transform(*places, scratch, STREAM, **options)

    assert same_bits_on_1_and_2_threads(steps, images)
