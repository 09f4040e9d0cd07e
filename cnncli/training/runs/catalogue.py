"""The records of many runs, fast: runs/.facts remembers those of runs whose files have not changed since.

Its first line is the version of cnncli and a CRC-32 of what follows: a line per run with its path, a checksum of the
names, sizes and times of its files, its facts and its spec, as JSON between tabs. A file that is missing, damaged or of
another version is made again; it is replaced as a whole, so that of several processes the last one counts.
"""

import json
import time
import zlib
from collections.abc import Sequence
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


def records(runs: Sequence[Path]) -> list[Record]:
    """The record of each of all runs, without those that can't be read, such as one that has just been removed."""
    known = _read() if len(runs) > MANY else {}
    found, lines, read = [], {}, 0
    for run in runs:
        with suppress(OSError):
            key, checksum = json.dumps(str(run)), _checksum(run)
            line = known.get(key)
            if line is None or line.checksum != checksum:
                line = _made(run, checksum)
                read += 1
            if checksum:
                lines[key] = line
            found.append(_record(run, line))
    if len(runs) > MANY and read:
        _write(lines)
    return found


def _record(run: Path, line: _Line) -> Record:
    known = json.loads(line.facts)
    if past_runs.is_held(run):
        known["state"] = "running"
    return Record(known, line.spec)


def _made(run: Path, checksum: str) -> _Line:
    made = facts.record(run)
    return _Line(checksum, json.dumps(made.facts), made.spec)


def _checksum(run: Path) -> str:
    """Of the names, sizes and times of its files; empty if they have just been written."""
    files = past_runs.files(run)
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
