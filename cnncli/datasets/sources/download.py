"""Downloads datasets from the first mirror with the right checksum into the user's cache directory.

Files are downloaded to a temporary directory, checked by pooch and then renamed, so files under their final names are
complete. Only `fetch` makes requests.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from time import sleep
from urllib.parse import urlsplit

import pooch
import requests
from requests.exceptions import ChunkedEncodingError, SSLError
from urllib3.exceptions import ReadTimeoutError

from cnncli.datasets.sources import temporary
from cnncli.datasets.sources.catalogue import Known, Remote
from cnncli.errors import CnncliError
from cnncli.system import folders

CONNECT_SECONDS, READ_SECONDS = 10.0, 30.0
"""How long to wait for a connection, and for the next bytes."""
ATTEMPTS, PAUSE_SECONDS = 3, 1.0
"""At one mirror, while there is hope; the pause doubles from one to the next."""
PORTION = 1 << 16
"""Bytes read at once."""
TOO_MANY_REQUESTS, SERVER_ERROR = 429, 500

Follow = Callable[[Remote, int], None]
"""Progress callback: a file and the number of bytes received."""


def folder(known: Known) -> Path:
    """Where the files of a dataset are kept, whether they are there or not."""
    return folders.cache("datasets") / known.name


def paths(known: Known) -> dict[str, Path]:
    """The files of a dataset by name, whether they are there or not."""
    return {file.name: folder(known) / file.name for file in known.files}


def is_here(known: Known) -> bool:
    """Whether every file has been downloaded; their checksums are `fetch`'s to check."""
    return all(path.is_file() for path in paths(known).values())


def fetch(known: Known, *, offline: bool, follow: Follow = lambda file, count: None) -> None:
    """Download missing files of a dataset and verify their checksums.

    Raises CnncliError with the file, the mirrors and the reasons; if `offline`, no request is made. Also raises as
    `check_folder` does.
    """
    check_folder(known)
    for file in known.files:
        path = folder(known) / file.name
        if not _is_whole(path, file):
            if offline:
                state = "has a wrong checksum" if path.exists() else "is missing"
                raise CnncliError(
                    f"{known.name}: {path} {state}, and downloads are disabled offline; "
                    f"run `cnncli datasets download {known.name}` online first{_instead(known)}"
                )
            _download(known, file, follow)
    check_folder(known)  # where there was none before, somebody else may have made it


def check_folder(known: Known) -> None:
    """Raise CnncliError where others could change the folder: its files could be others by the time they are read."""
    why = folders.unsafe_reason(folder(known))
    if why:
        raise CnncliError(
            f"{known.name}: the download directory is not safe: {why}; set CNNCLI_CACHE_DIR to another directory"
        )


def _is_whole(path: Path, file: Remote) -> bool:
    try:
        return path.is_file() and pooch.file_hash(str(path), alg=_algorithm(file)) == file.checksum.split(":")[1]
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {error.strerror or error}") from None


def _algorithm(file: Remote) -> str:
    return file.checksum.split(":")[0]


def _download(known: Known, file: Remote, follow: Follow) -> None:
    follow(file, 0)  # something is to be seen while a server keeps us waiting
    failures = []
    for mirror in file.mirrors:
        reason = _from(mirror, file, folder(known), follow)
        if not reason:
            return
        failures.append(f"{urlsplit(mirror).netloc}: {reason}")
    raise CnncliError(
        f"{known.name}: {file.name} can't be downloaded ({'; '.join(failures)}); "
        f"try again later, or place it in {folder(known)} manually{_instead(known)}"
    )


def _from(mirror: str, file: Remote, place: Path, follow: Follow) -> str:
    """Download a file from one mirror; why that can't be done, or nothing."""
    pause = PAUSE_SECONDS
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _retrieve(mirror + file.name, file, place, follow)
            return ""
        except requests.RequestException as error:
            if attempt == ATTEMPTS or not _may_pass(error):
                return _reason(error)
        except ValueError:  # what pooch raises for another checksum than the known one, and _Meter for too many bytes
            return f"wrong {_algorithm(file)} checksum"
        except OSError as error:
            raise CnncliError(
                f"{place}: can't be written: {error.strerror or error}; set CNNCLI_CACHE_DIR to another directory"
            ) from None
        sleep(pause)
        pause *= 2
    raise AssertionError("the last attempt returns")


def _retrieve(url: str, file: Remote, place: Path, follow: Follow) -> None:
    pooch.get_logger().setLevel(logging.ERROR)  # it tells of every download on standard error
    folders.make(place)
    # A server that compresses once more would send other bytes than those that the checksum is of.
    headers = {"Accept-Encoding": "identity", "User-Agent": "cnncli"}
    timeout = (CONNECT_SECONDS, READ_SECONDS)
    downloader = pooch.HTTPDownloader(_Meter(file, follow), PORTION, timeout=timeout, headers=headers)
    with temporary.folder(place) as made:
        pooch.retrieve(url, file.checksum, fname=file.name, path=made, downloader=downloader)
        (made / file.name).replace(place / file.name)


class _Meter:
    """Counts bytes, as pooch lets a progress bar do, and refuses many more than the file has."""

    def __init__(self, file: Remote, follow: Follow) -> None:
        self.file, self.follow = file, follow
        self.total = self.count = 0

    def update(self, count: int) -> None:
        """So many bytes more, the last portion rounded up."""
        self.count += count
        if self.count >= self.file.size + 2 * PORTION:
            raise ValueError(f"more than {self.file.size:,} bytes")
        self.follow(self.file, min(self.count, self.file.size))

    def reset(self) -> None:
        """Begin to count anew."""
        self.count = 0

    def close(self) -> None:
        """Nothing is held."""


def _may_pass(error: requests.RequestException) -> bool:
    """Whether another attempt at the same place may go better."""
    if error.response is not None:
        status = error.response.status_code
        return status >= SERVER_ERROR or status == TOO_MANY_REQUESTS
    if isinstance(error, requests.ConnectTimeout | SSLError):
        return False
    return isinstance(error, requests.Timeout | requests.ConnectionError | ChunkedEncodingError)


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, requests.Timeout) or any(isinstance(cause, ReadTimeoutError) for cause in error.args):
        return f"no answer within {READ_SECONDS:g} s"
    if isinstance(error, SSLError):
        return "its certificate is not accepted"
    if isinstance(error, ChunkedEncodingError):
        return "the connection broke off"
    return "no connection" if isinstance(error, requests.ConnectionError) else type(error).__name__


def _instead(known: Known) -> str:
    return "; mnist5k, 5,000 of MNIST's digits, needs no download" if known.name == "mnist" else ""
