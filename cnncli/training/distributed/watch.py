"""A small process beside the first one, which tells when one of them is killed: a launcher then ends all others within
milliseconds, so that none is left to say so, or what can be done.
"""

import json
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, Self

PATIENCE = 10.0
"""Seconds after the end of a process in which a launcher ends the others; then the watch does so, on its machine."""


def place() -> tuple[str, str, int]:
    """What tells the watch which process this is: its machine, its namespace of process numbers, and its number."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return socket.gethostname(), namespace, os.getpid()


class Watch:
    """Context in which this process, the first one, is watched. It must be entered before there are other threads.

    `command`: what resumes the training; empty as long as nothing is saved.
    """

    def __enter__(self) -> Self:
        reading, self.pipe = os.pipe()
        if os.fork() == 0:
            _watch(reading)
        os.close(reading)
        return self

    def __exit__(self, *error: object) -> None:
        self.tell("done", True)

    def tell(self, name: str, thing: Any) -> None:
        """Tell the places of all processes ("everyone"), the command that resumes ("resume"), or the end ("done")."""
        with suppress(OSError):
            os.write(self.pipe, json.dumps({name: thing}).encode() + b"\n")


def _watch(pipe: int) -> NoReturn:
    """Wait in a process of its own until the first process is done, or a process has ended."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        first = os.getppid()
        os.closerange(3, pipe)
        os.closerange(pipe + 1, os.sysconf("SC_OPEN_MAX"))
        watched = _Watched(pipe, first)
        if text := watched.end():
            os.write(2, os.fsencode(f"error: {text}\n"))
            watched.end_others()
    finally:
        os._exit(0)


class _Watched:
    """What the watch knows of the processes. `others`: the ranks of those on this machine, by the files that become
    readable when they end.
    """

    def __init__(self, pipe: int, first: int) -> None:
        self.pipe, self.first, self.told = pipe, first, b""
        self.known: dict[str, Any] = {}
        self.others: dict[int, int] = {}

    def end(self) -> str:
        """What to tell of the end of the processes, once there is one; "" if it is as it should be."""
        ended: int | None = None
        until: float | None = None
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            ready, _, _ = select.select([self.pipe, *self.others], [], [], left)
            gone = [self.others.pop(file) for file in ready if file in self.others]
            there = self.pipe not in ready or self._read()
            if "done" in self.known:
                return ""
            if gone and until is None:
                ended, until = gone[0], time.monotonic() + PATIENCE
            if not there or not ready:
                return self._text(0 if until is None and self._are_all_here else ended)

    def end_others(self) -> None:
        """End the processes on this machine that the launcher has not ended before long."""
        until = time.monotonic() + PATIENCE
        while self.others and (left := until - time.monotonic()) > 0:
            for file in select.select(list(self.others), [], [], left)[0]:
                self.others.pop(file)
        for file in self.others:
            with suppress(OSError):
                signal.pidfd_send_signal(file, signal.SIGKILL)
        if os.getppid() == self.first:
            os.kill(self.first, signal.SIGKILL)

    @property
    def _are_all_here(self) -> bool:
        return len({tuple(place[:2]) for place in self.known.get("everyone", ())}) == 1

    def _read(self) -> bool:
        """Read what the first process tells; whether it is still there."""
        got = os.read(self.pipe, 1 << 16)
        *lines, self.told = (self.told + got).split(b"\n")
        for line in lines:
            self.known |= json.loads(line)
            if b'"everyone"' in line:
                self._find(self.known["everyone"])
        return bool(got)

    def _find(self, everyone: Sequence[Sequence[Any]]) -> None:
        """Open the processes on this machine but the first, which is known by its pipe."""
        for rank, (host, namespace, number) in enumerate(everyone):
            if rank and [host, namespace] == list(everyone[0][:2]) and hasattr(os, "pidfd_open"):
                with suppress(OSError):
                    self.others[os.pidfd_open(number)] = rank

    def _text(self, ended: int | None) -> str:
        """`ended`: the rank of the process that was the first, if it is known."""
        everyone, resume = self.known.get("everyone"), self.known.get("resume")
        how = f"To resume from the last checkpoint: {resume}" if resume else "Nothing was saved yet"
        which = "a process" if ended is None or not everyone else f"process {ended} on {everyone[ended][0]}"
        return f"{which} has ended, and all others with it. {how}"
