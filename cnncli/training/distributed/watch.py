"""A small process beside the first one, which tells when one of them is killed: a launcher then ends all others within
milliseconds, so that none is left to say so, or what can be done.
"""

import json
import os
import select
import signal
import socket
import struct
import time
from contextlib import suppress
from typing import Any, NoReturn, Self
from uuid import uuid4

PATIENCE = 10.0
"""Seconds after the end of a process in which a launcher ends the others; then the watch does so, on its machine."""


class Watch:
    """Context in which this process, the first one, is watched. It must be entered before there are other threads.

    `address`: where the others on this machine can be watched, too (see `be_watched`).
    """

    def __enter__(self) -> Self:
        self.address = f"\0cnncli-{uuid4().hex}"
        reading, self.pipe = os.pipe()
        with socket.socket(socket.AF_UNIX) as door:
            with suppress(OSError, ValueError):  # other systems have no sockets without a file
                door.bind(self.address)
                door.listen(socket.SOMAXCONN)
            if os.fork() == 0:
                _watch(reading, door)
        os.close(reading)
        return self

    def __exit__(self, *error: object) -> None:
        self.tell("done", True)

    def tell(self, name: str, thing: Any) -> None:
        """Tell the number of processes ("size"), the command that resumes ("resume"), or the end ("done")."""
        with suppress(OSError):
            os.write(self.pipe, json.dumps({name: thing}).encode() + b"\n")


def be_watched(address: str, rank: int) -> socket.socket | None:
    """Let the watch at an address know that this process is there, as long as the socket is open; None if it can't be
    reached, as from another machine.
    """
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect(address)
        line.sendall(f"{rank}\n".encode())
    except OSError:
        line.close()
        return None
    return line


def _watch(pipe: int, door: socket.socket) -> NoReturn:
    """Wait in a process of its own until the first process is done, or a process has ended."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        watched = _Watched(pipe, door, os.getppid())
        kept = sorted((pipe, door.fileno()))
        for begin, end in zip((3, *(file + 1 for file in kept)), (*kept, os.sysconf("SC_OPEN_MAX")), strict=True):
            os.closerange(begin, end)
        if text := watched.end():
            os.write(2, os.fsencode(f"error: {text}\n"))
            watched.end_others()
    finally:
        os._exit(0)


class _Watched:
    """What the watch knows of the processes. `others`: the lines to those on this machine, with their ranks; `gone`:
    the ranks of those that have ended.
    """

    def __init__(self, pipe: int, door: socket.socket, first: int) -> None:
        self.pipe, self.door, self.first, self.told = pipe, door, first, b""
        self.known: dict[str, Any] = {}
        self.others: dict[socket.socket, int] = {}
        self.gone: list[int] = []

    def end(self) -> str:
        """What to tell of the end of the processes, once there is one; "" if it is as it should be."""
        until: float | None = None
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            files: list[Any] = [self.pipe, self.door, *self.others]
            ready, _, _ = select.select(files, [], [], left)
            before = len(self.gone)
            self._look(ready)
            there = self.pipe not in ready or self._read()
            if "done" in self.known:
                return ""
            if self.gone and until is None:
                until = time.monotonic() + PATIENCE
            if not there or not ready:
                return self._text(self._first_gone(before))

    def _look(self, ready: list[Any]) -> None:
        """Welcome processes, and notice those that have ended."""
        if self.door in ready:
            line, _ = self.door.accept()
            rank = line.makefile("rb", 0).readline()  # which it has sent with its first breath
            if rank:
                self.others[line] = int(rank)
        for line in [one for one in ready if one in self.others]:
            self.gone.append(self.others.pop(line))
            line.close()

    def _read(self) -> bool:
        """Read what the first process tells; whether it is still there."""
        got = os.read(self.pipe, 1 << 16)
        *lines, self.told = (self.told + got).split(b"\n")
        for line in lines:
            self.known |= json.loads(line)
        return bool(got)

    def _first_gone(self, before: int) -> int | None:
        """Which process ended first; None if that is not known. `before`: how many had been gone before the first one
        was.
        """
        if before:
            return self.gone[0]
        all_are_here = len(self.others) == self.known.get("size", 0) - 1
        return 0 if all_are_here else None

    def _text(self, ended: int | None) -> str:
        which = "a process" if ended is None else f"process {ended} on {socket.gethostname()}"
        resume = self.known.get("resume")
        how = f"To resume from the last checkpoint: {resume}" if resume else "Nothing was saved yet"
        return f"{which} has ended, and all others with it. {how}"

    def end_others(self) -> None:
        """End the processes on this machine that the launcher has not ended before long."""
        until = time.monotonic() + PATIENCE
        while self.others and (left := until - time.monotonic()) > 0:
            self._look(select.select(list(self.others), [], [], left)[0])
        numbers = [
            struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0] for line in self.others
        ]
        if os.getppid() == self.first:
            numbers.append(self.first)
        for number in numbers:
            with suppress(OSError):
                os.kill(number, signal.SIGKILL)
