"""A cache of decoded images in a memory-mapped file, so that images are decoded only once.

A folder `<cache>/images/<key>` holds `images.npy`, uint8 (N, H, W, C) with one row per file (of `color_mode: all`,
also float32); `fingerprints.npy`, uint8
(N, 16); and `about.json`: the digest of the rows, and what is wrong with files that could not be decoded, whose rows
are 0. The key is a digest of all files' names and of the form. The folder appears whole or not at all.
`CNNCLI_CACHE_DIR` moves it.

Nothing in it is believed unchecked. about.json has a digest of all files' sizes, times and inodes: the time of the last
change (ctime) can't be set, so that a file replaced by another one of the same size and time is noticed. Whenever the
folder is opened, SHA-256 digests of its portions are compared with those that about.json, itself sealed, was written
with. What does not agree is decoded anew, and takes the place of the old. Where others could change the folder, it is
not used.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import PIL

from cnncli.datasets.fingerprints import SIZE, fingerprint
from cnncli.datasets.images.crops import Cropper
from cnncli.datasets.images.decode import Form, decode
from cnncli.datasets.problems import Problem
from cnncli.datasets.sources import memmap, temporary
from cnncli.datasets.sources.found import Crop
from cnncli.datasets.sources.image_files import UnusableError, check_size, processors
from cnncli.errors import CnncliError
from cnncli.notices import warn
from cnncli.system import folders, signals

Array = np.ndarray[Any, Any]
VERSION = 4
"""Of what is kept of a file; to be raised with every change of it."""
PORTION = 32
"""Files that a thread decodes between two reports."""
CHECKED = 4 << 20
"""Bytes of images.npy that have a digest of their own, so that several threads can check them."""
IMAGES, FINGERPRINTS, ABOUT = "images.npy", "fingerprints.npy", "about.json"


@dataclass(frozen=True)
class Decoded:
    """`images`: uint8 or float32 (N, H, W, C), a row a file, mapped and read-only. `digest`: SHA-256 of its rows.

    `state`: a digest of the files' sizes, times and inodes as they were before decoding. `fingerprints`: of each of its
    rows, uint8 (N, 16). `problems`: by the row, what is wrong with a file that could not be decoded.
    """

    images: Array
    fingerprints: Array
    digest: str
    state: str
    problems: dict[int, Problem]


def decoded(
    root: Path,
    files: Sequence[str],
    form: Form,
    progress: Callable[[int, int], None],
    of: Sequence[str] = (),
    *,
    crops: Mapping[str, Crop] | None = None,
) -> Decoded:
    """The images of `files`, relative to `root`, from the cache or decoded into it.

    `of`: where these are masks, their images, which must be as large. `crops`: where they are parts of files.
    `progress` hears how many of how many are decoded, where any have to be. Files that had problems are tried again.
    Raises CnncliError where the cache can't be written.
    """

    def image(row: int) -> Array:
        if of:
            check_size(root / files[row], root / of[row])
        return cropper.decode(files[row], form) if crops else decode(root / files[row], form)

    read = partial(_read, shape=(len(files), *form.shape), dtype=form.dtype)
    cropper = Cropper(root, crops or {})
    parts = [crops[file] for file in files] if crops else []
    sources = [*(part.file for part in parts), *of] if parts else [*files, *of]
    try:
        key, state = _key(root, [*files, *of, *map(repr, parts)], form), _state(root, sources)
        place = folders.cache("images") / key

        def fill(made: Path) -> None:
            _fill(made, files, form, image, progress, state=state)

        folders.make(place.parent)  # and ask then: who makes it first may be somebody else
        why = folders.unsafe_reason(place.parent)
        if why:
            warn(f"decoded images are not cached: {why}; set CNNCLI_CACHE_DIR to another directory")
            # What is mapped stays readable after it is removed.
            with (
                TemporaryDirectory(prefix="cnncli-") as unkept,
                signals.undoing(partial(shutil.rmtree, unkept)),
            ):
                fill(Path(unkept))
                found = read(Path(unkept))
        else:
            found = _kept(place, state, read, image, fill)
    except (OSError, RuntimeError) as error:
        said = getattr(error, "strerror", None) or error
        raise CnncliError(
            f"decoded images can't be cached: {said}; set CNNCLI_CACHE_DIR to another directory"
        ) from None
    if found is None:
        raise CnncliError(f"{place}: decoded images can't be read back")
    return found


def _kept(
    place: Path,
    state: str,
    read: Callable[[Path], Decoded | None],
    image: Callable[[int], Array],
    fill: Callable[[Path], None],
) -> Decoded | None:
    """What the folder at `place` holds, which is filled first where it is not there, damaged, or out of date."""
    old = place.exists()
    found = read(place)
    if found is not None and found.state == state and not _mended(found, image):
        return found
    if old and found is None:
        warn(f"{place}: the cached images are damaged and are decoded again")
    with temporary.folder(place.parent) as making:
        made = making / "made"
        made.mkdir(mode=0o700)
        fill(made)
        _put(made, place, replaced=old)
        return read(place)


def _key(root: Path, files: Sequence[str], form: Form) -> str:
    key = hashlib.sha256(repr((VERSION, PIL.__version__, str(root), form)).encode())
    for file in files:
        key.update(repr(file).encode())
    return key.hexdigest()[:32]


def _state(root: Path, files: Sequence[str]) -> str:
    state = hashlib.sha256()
    for file in files:
        state.update(repr(_stamp(root / file)).encode())
    return state.hexdigest()


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:  # decoding says why
        return (-1,)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _read(place: Path, shape: tuple[int, ...], dtype: str) -> Decoded | None:
    """What the folder holds; None where it is not there, or anything of it is not what was written."""
    try:
        about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
        images = memmap.load(place / IMAGES)
        fingerprints = np.load(place / FINGERPRINTS, allow_pickle=False)
        whole = (
            about.pop("seal") == _seal(about)
            and (images.dtype, images.shape, images.flags.c_contiguous) == (np.dtype(dtype), shape, True)
            and (fingerprints.dtype, fingerprints.shape) == (np.uint8, (shape[0], SIZE))
            and hashlib.sha256(fingerprints.data).hexdigest() == about["fingerprints"]
            and _portions(place / IMAGES) == about["portions"]
        )
        problems = {int(row): Problem(*said) for row, said in about["problems"].items()}
        return Decoded(images, fingerprints, about["digest"], about["files"], problems) if whole else None
    except Exception:  # a damaged file can make its reader raise anything
        return None


def _seal(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _portions(file: Path) -> list[str]:
    """The SHA-256 of each portion of a file, its header included; read in threads, without mapping it."""

    def portion(start: int) -> str:
        return hashlib.sha256(os.pread(opened.fileno(), CHECKED, start)).hexdigest()

    with file.open("rb") as opened, ThreadPoolExecutor(processors()) as threads:
        return list(threads.map(portion, range(0, os.fstat(opened.fileno()).st_size, CHECKED)))


def _fill(
    made: Path,
    files: Sequence[str],
    form: Form,
    decode: Callable[[int], Array],
    progress: Callable[[int, int], None],
    *,
    state: str,
) -> None:
    """Decode all files into the folder, in threads: Pillow decodes without Python's lock."""
    problems: dict[int, Problem] = {}
    dtype = np.dtype(form.dtype)
    size = int(np.prod(form.shape)) * dtype.itemsize
    with (made / IMAGES).open("w+b") as file:
        header = {"descr": dtype.str, "fortran_order": False, "shape": (len(files), *form.shape)}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        begin = file.tell()
        file.truncate(begin + len(files) * size)

        def decode_portion(start: int) -> int:
            rows = range(start, min(start + PORTION, len(files)))
            for row in rows:
                try:
                    image = decode(row)
                except UnusableError as error:
                    problems[row] = Problem(files[row], str(error))
                    continue
                _write(file.fileno(), image, begin + row * image.nbytes)
            return len(rows)

        with ThreadPoolExecutor(processors()) as threads:
            try:
                done = 0
                for count in threads.map(decode_portion, range(0, len(files), PORTION)):
                    done += count
                    progress(done, len(files))
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        file.seek(begin)
        digest, fingerprints = hashlib.sha256(), np.zeros((len(files), SIZE), np.uint8)
        for row in range(len(files)):
            image = file.read(size)
            digest.update(image)
            fingerprints[row] = np.frombuffer(fingerprint(image), np.uint8)
        os.fsync(file.fileno())
    np.save(made / FINGERPRINTS, fingerprints)
    about: dict[str, Any] = {
        "files": state,
        "digest": digest.hexdigest(),
        "problems": {str(row): problems[row] for row in sorted(problems)},
        "fingerprints": hashlib.sha256(fingerprints.data).hexdigest(),
        "portions": _portions(made / IMAGES),
    }
    (made / ABOUT).write_text(json.dumps({**about, "seal": _seal(about)}), encoding="utf-8")


def _write(descriptor: int, image: Array, offset: int) -> None:
    """Write through the file and not through a map of it: on a full disk the one is an error, the other a crash."""
    rest = memoryview(image.tobytes())
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def _mended(found: Decoded, decode: Callable[[int], Array]) -> bool:
    """Whether a file that had a problem has none any more: its permissions, say, change no time of it."""
    for row in found.problems:
        try:
            decode(row)
        except UnusableError:
            continue
        return True
    return False


def _put(made: Path, place: Path, *, replaced: bool) -> None:
    """Rename the folder into its place; what was there makes room, what another process has put since stays."""
    if replaced:
        with suppress(FileNotFoundError):  # another process is about to put its own there
            place.rename(made.parent / "old")
    try:
        made.rename(place)
    except OSError:
        if not place.exists():
            raise
