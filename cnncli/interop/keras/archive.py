"""A `.keras` archive: its network as JSON and its weights, read from the file alone and within bounds."""

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from cnncli.errors import CnncliError, reason
from cnncli.extras import require
from cnncli.interop.keras.stored import Stored
from cnncli.system import memory
from cnncli.system.files import open_regular

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
LARGEST_CONFIG = 32 << 20
INFLATED, LARGEST_INFLATED = 100, 100 << 20
"""A member of more bytes than the second that is compressed to less than a part of them is a zip bomb."""
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    OverflowError,
    LookupError,
)


@contextmanager
def opened(path: Path) -> Iterator[tuple[dict[str, Any], Stored]]:
    """The network's configuration, and its weights. Raises UsageError without h5py, CnncliError for a bad file."""
    require(f"{path}, a Keras archive,", "h5py", ("h5py",), "keras")
    try:
        file = open_regular(path)
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {reason(error)}") from None
    with file:
        config = _config(path, _member(path, file, CONFIG, LARGEST_CONFIG))
        content = _member(path, file, WEIGHTS, memory.limit() // 2)
    with Stored.opened(path, BytesIO(content)) as stored:
        yield config, stored


def _member(path: Path, file: IO[bytes], name: str, most: int) -> bytes:
    """A member by its exact name; nothing is extracted to a file."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = next((info for info in archive.infolist() if info.filename == name), None)
            if found is None:
                raise CnncliError(f"{path}: is no Keras archive: it has no {name}")
            size = found.file_size
            if size > most or size > max(LARGEST_INFLATED, INFLATED * found.compress_size):
                raise CnncliError(f"{path}: {name} takes {memory.shown(size)}, more than such a file may")
            with archive.open(found) as member:
                content = member.read(size + 1)
    except DAMAGED as error:
        raise CnncliError(f"{path}: is damaged or no Keras archive: {error}") from None
    if len(content) != size:
        raise CnncliError(f"{path}: is damaged: {name} has {len(content):,} of {size:,} bytes")
    return content


def _config(path: Path, content: bytes) -> dict[str, Any]:
    try:
        config = json.loads(content)
    except (ValueError, RecursionError):
        raise CnncliError(f"{path}: is damaged: {CONFIG} can't be read as JSON") from None
    if not isinstance(config, dict):
        raise CnncliError(f"{path}: is damaged: {CONFIG} must be an object")
    return config
