"""What a signal does to the command line: one line on standard error, what is temporary goes, 128 + its number.

Nothing is raised: an exception could come up anywhere, and so also where it is ignored (finalizers, callbacks from C)
or where another takes its place (imports of compiled packages). The handler itself cleans up and ends the process.

This module is loaded before all others and imports next to nothing: until `install` was called, a signal is Python's.
"""

from __future__ import annotations

# `signal` itself takes 4 ms to load, in which Ctrl-C would end in a traceback.
import _signal as system  # type: ignore[import-not-found]
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

HANGUP = "SIGHUP"
NAMES = ("SIGINT", "SIGTERM", HANGUP)
"""Ctrl-C, the request to end, and a terminal that is closed."""

_installed = False
_undone: list[Callable[[], None]] = []


def numbers() -> list[int]:
    """The signals that are handled. Under nohup, a terminal that is closed stays nobody's concern."""
    known = {name: getattr(system, name) for name in NAMES if hasattr(system, name)}
    return [number for name, number in known.items() if name != HANGUP or system.getsignal(number) != system.SIG_IGN]


def install() -> None:
    """Let signals end this process as described, from now on."""
    global _installed  # noqa: PLW0603
    _installed = True
    for number in numbers():
        system.signal(number, _receive)


def installed() -> bool:
    """Whether signals end this process as described: it is the command line's, not a program that uses the library."""
    return _installed


def ignore() -> None:
    """If `install` was called, ignore them from now on: the process is about to end, and its exit code is settled."""
    if _installed:
        for number in numbers():
            system.signal(number, system.SIG_IGN)


def undo(action: Callable[[], None]) -> None:
    """Let `action` be called if a signal ends the process before `keep(action)`. It must not use Python's streams."""
    _undone.append(action)


def keep(action: Callable[[], None]) -> None:
    """What `action` would have undone stays, or is gone already."""
    if action in _undone:
        _undone.remove(action)


class undoing:  # noqa: N801 (used as a function)
    """Call `action` if a signal ends the process within the block."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action = action

    def __enter__(self) -> None:
        undo(self.action)

    def __exit__(self, *error: object) -> None:
        keep(self.action)


def leave(number: int, said: str) -> None:
    """End the process for the signal `number`. Returns only in a program that is not ours: `install` was not called."""
    if not _installed:
        return
    ignore()
    for action in reversed(_undone):
        try:
            action()
        except Exception:  # there is nobody to tell, and the next one must have its turn
            continue
    echoed = "\n" if number == system.SIGINT and os.isatty(2) else ""  # a terminal shows ^C where the cursor stands
    write(f"{echoed}error: {said}\n")
    os._exit(128 + number)


def write(text: str) -> None:
    """Write to standard error past Python's stream, in the midst of whose work a signal may have come."""
    try:
        os.write(2, os.fsencode(text))
    except (OSError, UnicodeError):
        return


def _receive(number: int, frame: FrameType | None) -> None:
    leave(number, "interrupted")
