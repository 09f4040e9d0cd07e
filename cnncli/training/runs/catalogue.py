"""The records of many runs, fast: runs/.facts remembers those of runs whose files have not changed since.

Its first line is the version of cnncli and a CRC-32 of what follows: a line per run with its path, a checksum of the
names, sizes and times of its files, its facts and its spec, as JSON between tabs. A file that is missing, damaged or of
another version is made again; it is replaced as a whole, so that of several processes the last one counts.
"""

import json
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cnncli.errors import CnncliError
from cnncli.system import atomic
from cnncli.system.files import read_bounded
from cnncli.system.folders import RUNS
from cnncli.training.runs import facts, past_runs, registry
from cnncli.training.runs.facts import Record
from cnncli.version import __version__

FILE = RUNS / ".facts"
FORM = 1
"""Increases with each change of what a record has."""
MANY = 50
"""Runs that are read faster than worth remembering."""
LARGEST = 1 << 28
RECENT = 2 * 10**9
"""Nanoseconds in which files may change again without another time."""


class _Line(NamedTuple):
    checksum: str
    facts: str
    spec: str


def records(runs: Sequence[Path], progress: Callable[[int], None] = lambda done: None) -> list[Record]:
    """The record of each of all runs, without those that can't be read, such as one that has just been removed.

    `progress(done)` is called now and then with the number of runs read.
    """
    known = _read() if len(runs) > MANY else {}
    found, lines, read = [], {}, 0
    for number, run in enumerate(runs):
        if number % MANY == 0:
            progress(number)
        with suppress(OSError):
            files = past_runs.files(run)
            key, checksum = json.dumps(str(run)), _checksum(files)
            line = known.get(key)
            if line is None or line.checksum != checksum:
                record = facts.record(run, files)
                line = _Line(checksum, json.dumps(record.facts), record.spec)
                read += 1
            else:
                record = _record(run, line)
            if checksum:
                lines[key] = line
            found.append(record)
    if len(runs) > MANY and read:
        _write(lines)
    return found


def _record(run: Path, line: _Line) -> Record:
    known = json.loads(line.facts)
    if past_runs.is_held(run):
        known["state"] = "running"
    return Record(known, line.spec)


def _checksum(files: past_runs.Files) -> str:
    """Of the names, sizes and times of a run's files; empty if they have just been written."""
    latest = max((changed for _, _, changed in files), default=0)
    return "" if latest > time.time_ns() - RECENT else f"{zlib.crc32(repr(files).encode()):08x}"


def _read() -> dict[str, _Line]:
    try:
        head, _, body = read_bounded(FILE, LARGEST).partition(b"\n")
        if head != _head(body):
            return {}
        lines = (line.split("\t") for line in body.decode().splitlines())
        return {key: _Line(*rest) for key, *rest in lines}
    except (OSError, ValueError, TypeError):
        return {}


def _write(lines: dict[str, _Line]) -> None:
    body = "".join("\t".join((key, *line)) + "\n" for key, line in lines.items()).encode()
    with suppress(OSError, CnncliError):  # it only saves time
        registry.make_folder()
        atomic.write(FILE, _head(body) + b"\n" + body)


def _head(body: bytes) -> bytes:
    return f"cnncli {__version__} {FORM} {zlib.crc32(body):08x}".encode()
