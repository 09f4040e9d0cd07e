"""Inputs of a prediction: image files, folders of images, arrays and Pillow images, one image at a time.

Nothing is listed or decoded before it is needed: a folder of any size takes the memory of a portion of its images.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as Pillow

from cnncli.datasets.images import input_tables
from cnncli.datasets.images.decode import Form, decode, pixels, whole
from cnncli.datasets.sources import bands, memmap
from cnncli.datasets.sources.image_files import UnusableError, processors
from cnncli.datasets.sources.image_names import entries, is_picture, unread
from cnncli.datasets.sources.memmap import Mapped
from cnncli.errors import CnncliError

Array = np.ndarray[Any, Any]
Input = Path | Array | Pillow.Image
"""A file or folder; an array, (H, W[, C]) or (N, H, W[, C]), uint8 or floating point; an image opened with Pillow."""
ARRAYS = ".npy"
FLOATS = ("float16", "float32", "float64")
AHEAD = 64
"""Images that are read together, in threads."""
PIECE = 8
"""Images that a thread reads before it is asked for more."""


class Image(NamedTuple):
    """`name`: its file, or `digits.npy[5]`. `pixels`: uint8 or float32 (H, W, C), the model's input shape; None where
    it can't be used, and then `problem` is the rule that it breaks. `key`: the name of its file without ending, its id
    in a table, or the number of its row, from 1.
    """

    name: str
    pixels: Array | None
    problem: str = ""
    key: str = ""


class _Source(NamedTuple):
    """An image that has not been read yet. `read` gives its pixels; it raises UnusableError."""

    name: str
    read: Callable[[], Array]
    key: str = ""


def images(
    inputs: Iterable[Input], form: Form | None, shape: tuple[int, ...], *, invert: bool, channels_first: bool = False
) -> Iterator[Image]:
    """The images, in the order given and, of a folder, of names; hidden files are left out.

    Files and Pillow's images are made into `form`, which has the model's input shape `shape`; without it, arrays alone
    can be used. `invert` turns light into dark. `channels_first`: arrays may be (C, H, W) or (N, C, H, W), too.
    """
    first = (shape[-1], *shape[:-1]) if channels_first else ()
    sources = (source for number, given in enumerate(inputs) for source in _sources(given, number, form, shape, first))
    with ThreadPoolExecutor(processors()) as threads:
        while portion := list(islice(sources, AHEAD)):
            pieces = [portion[start : start + PIECE] for start in range(0, len(portion), PIECE)]
            for piece in threads.map(partial(_read_all, invert=invert), pieces):
                yield from piece


def original(given: Input, shape: tuple[int, ...]) -> Array:
    """One image before it is made into the model's form: uint8 (H, W[, C]); an array has the model's input shape.

    Of floating-point arrays, 0 becomes black and 1 white; if they have other values, the least and the greatest.
    Raises UnusableError.
    """
    if isinstance(given, Path) and given.suffix.lower() != ARRAYS:
        with bands.opened_or_drawn(given) as image:
            return whole(image)
    if isinstance(given, Pillow.Image):
        return whole(given)
    array = (_mapped(given) if isinstance(given, Path) else given).reshape(shape)
    if array.dtype == np.uint8:
        return np.array(array)
    low, high = min(0, float(array.min())), max(1, float(array.max()))
    return np.rint((array.astype(np.float64) - low) / (high - low) * 255).astype(np.uint8)


def files(path: Path) -> Iterator[Path]:
    """The image files below a folder, in the order of names; any other path itself."""
    yield from (file for file, _ in _below(path)) if path.is_dir() else [path]


def holds_images(folder: Path) -> bool:
    """Whether there is an image somewhere below. A folder that can't be read may hold some: it is told of later."""
    return next(_below(folder), None) is not None


def left_out(folder: Path) -> Iterator[str]:
    """The files below a folder that are no images by their names, relative to it."""
    for name, is_folder in _entries(folder):
        if not is_folder and not is_picture(name):
            yield name
        elif is_folder and not (folder / name).is_symlink():
            yield from (f"{name}/{file}" for file in left_out(folder / name))


def shown(path: Path) -> str:
    """The name of a file, in letters that can be printed."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def _read_all(sources: Sequence[_Source], *, invert: bool) -> list[Image]:
    return [_read(source, invert=invert) for source in sources]


def _read(source: _Source, *, invert: bool) -> Image:
    try:
        pixels = source.read()
        return Image(source.name, _inverted(pixels) if invert else pixels, key=source.key)
    except UnusableError as error:
        return Image(source.name, None, str(error), source.key)


def _inverted(pixels: Array) -> Array:
    if pixels.dtype == np.uint8:
        return 255 - pixels
    if pixels.min() < 0 or pixels.max() > 1:
        raise UnusableError(
            f"to be inverted, values must be uint8 or between 0 and 1; it has {pixels.min():.4g} to {pixels.max():.4g}"
        )
    return 1 - pixels


def _sources(
    given: Input, number: int, form: Form | None, shape: tuple[int, ...], first: tuple[int, ...]
) -> Iterator[_Source]:
    if isinstance(given, Path):
        yield from _files(given, form, shape, first)
    elif isinstance(given, Pillow.Image):
        yield _Source(f"[{number}]", partial(_opened, given, form, shape))
    else:
        yield from _rows(f"[{number}]", _channels_last(given, first), shape)


def _files(path: Path, form: Form | None, shape: tuple[int, ...], first: tuple[int, ...]) -> Iterator[_Source]:
    if not path.is_dir() and path.suffix.lower() in input_tables.ENDINGS:
        yield from _table(path, form, shape)
        return
    if not path.is_dir() and path.suffix.lower() == ARRAYS:
        try:
            array = _mapped(path)
        except UnusableError as error:
            yield _Source(shown(path), partial(_refuse, str(error)))
            return
        yield from _rows(shown(path), _channels_last(array, first), shape)
        return
    for file, problem in _below(path) if path.is_dir() else [(path, "")]:
        read = partial(_refuse, problem) if problem else partial(_picture, file, form, shape)
        yield _Source(shown(file), read, file.stem)


def _table(path: Path, form: Form | None, shape: tuple[int, ...]) -> Iterator[_Source]:
    """The images of a table: its pixels, or the files that it names."""
    try:
        found = input_tables.read(path, shape)
    except UnusableError as error:
        yield _Source(shown(path), partial(_refuse, str(error)))
        return
    if isinstance(found, input_tables.Pixels):
        for number, (row, key) in enumerate(zip(found.images, found.keys, strict=True)):
            yield _Source(f"{shown(path)}[{number}]", partial(_row, row, shape), key)
        return
    for row in found:
        if row.file is None:
            yield _Source(f"{shown(path)}: {row.key}", partial(_refuse, row.problem), row.key)
            continue
        problem = unread(row.file.name)
        read = partial(_refuse, problem) if problem else partial(_picture, row.file, form, shape)
        yield _Source(shown(row.file), read, row.key)


def _below(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every image file below a folder, and every folder that can't be read; with its problem, if it has one."""
    try:
        found = entries(folder)
    except CnncliError as error:
        yield folder, str(error).removeprefix(f"{folder}: ")
        return
    for name, is_folder in found:
        path = folder / name
        if not is_folder and is_picture(name):
            yield path, unread(name)
        elif is_folder and not path.is_symlink():  # a link may lead round in a circle
            yield from _below(path)


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """What lies in a folder; nothing of one that can't be read, which is told where its images are."""
    try:
        return entries(folder)
    except CnncliError:
        return []


def _picture(path: Path, form: Form | None, shape: tuple[int, ...]) -> Array:
    return decode(path, _needed(form, shape))


def _opened(image: Pillow.Image, form: Form | None, shape: tuple[int, ...]) -> Array:
    needed = _needed(form, shape)
    try:
        return pixels(image, needed)
    except UnusableError:
        raise
    except Exception as error:  # Pillow reads pixels only now, and raises many kinds on damage
        raise UnusableError(f"can't be read: {error}") from None


def _needed(form: Form | None, shape: tuple[int, ...]) -> Form:
    if form is None:
        raise UnusableError(f"the model's input, {_size(shape)}, is not an image shape: it accepts only arrays (.npy)")
    return form


def _channels_last(array: Array, first: tuple[int, ...]) -> Array:
    """An array of images (C, H, W), of the shape `first`, or (N, C, H, W) channels last; others as they are."""
    return np.moveaxis(array, -3, -1) if first and first in (array.shape, array.shape[1:]) else array


def _rows(name: str, array: Array, shape: tuple[int, ...]) -> Iterator[_Source]:
    """The images of an array: one, (H, W) or (H, W, C), or several, with N before that."""
    plain = shape[:-1] if shape[-1] == 1 else shape  # grey images need not say that they have one channel
    problem = ""
    if array.dtype != np.uint8 and array.dtype.name not in FLOATS:
        problem = f"an array must be uint8 or floating point; received {array.dtype}"
    elif array.shape in (shape, plain):
        yield _Source(name, partial(_row, array, shape), "1")
        return
    elif array.shape[1:] not in (shape, plain) or not len(array):
        single, several = _size(shape), _size(("N", *shape))
        problem = f"an array must be {single} or {several} to match the model's input; received {_size(array.shape)}"
    if problem:
        yield _Source(name, partial(_refuse, problem))
        return
    reading = Mapped(array)
    for number in range(len(array)):
        yield _Source(f"{name}[{number}]", partial(_row, array[number], shape), str(number + 1))
        reading.used(1)


def _mapped(path: Path) -> Array:
    try:
        array = memmap.load(path)
    except Exception as error:  # OSError, ValueError, EOFError, SyntaxError, … on damage
        said = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split()) or type(error).__name__
        raise UnusableError(f"can't be read: {said}") from None
    if not isinstance(array, np.ndarray):
        raise UnusableError("a .npy file must hold one array; it is an archive of several")
    return array


def _row(array: Array, shape: tuple[int, ...]) -> Array:
    reading = Mapped(array)
    reading.check()
    with np.errstate(over="ignore"):
        pixels = np.array(array, np.uint8 if array.dtype == np.uint8 else np.float32).reshape(shape)
    reading.check()
    if not np.isfinite(pixels).all():
        raise UnusableError("an image must hold finite float32 numbers; it has nan or inf")
    return pixels


def _refuse(problem: str) -> Array:
    raise UnusableError(problem)


def _size(shape: tuple[Any, ...]) -> str:
    return " × ".join(map(str, shape)) or "a single number"
