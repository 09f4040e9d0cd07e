"""Signal handling of the command line: one line on standard error, cleanup, exit code 128 + signal number.

No exception is raised, because it could occur where it is ignored (finalizers, C callbacks) or replaced by another
(imports of compiled packages). The handler itself cleans up and exits.

This module is imported before all others and imports almost nothing; before `install`, Python handles signals.
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
"""Ctrl-C, termination request, and closed terminal."""

_installed = False
_undone: list[Callable[[], None]] = []


def numbers() -> list[int]:
    """The handled signals. SIGHUP is not handled under nohup."""
    known = {name: getattr(system, name) for name in NAMES if hasattr(system, name)}
    return [number for name, number in known.items() if name != HANGUP or system.getsignal(number) != system.SIG_IGN]


def install() -> None:
    """Install the signal handlers."""
    global _installed  # noqa: PLW0603
    _installed = True
    for number in numbers():
        system.signal(number, _receive)


def installed() -> bool:
    """Whether signals end this process as described: it is the command line's, not a program that uses the library."""
    return _installed


def ignore() -> None:
    """If `install` was called, ignore signals from now on, because the process is about to exit."""
    if _installed:
        for number in numbers():
            system.signal(number, system.SIG_IGN)


def undo(action: Callable[[], None]) -> None:
    """Register `action` to be called if a signal ends the process. It must not use Python's streams."""
    _undone.append(action)


def keep(action: Callable[[], None]) -> None:
    """Unregister `action`."""
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
    """End the process for the signal `number`. Returns only if `install` was not called (used as a library)."""
    if not _installed:
        return
    ignore()
    for action in reversed(_undone):
        try:
            action()
        except Exception:  # can't be reported, and the remaining actions must run
            continue
    echoed = "\n" if number == system.SIGINT and os.isatty(2) else ""  # a terminal shows ^C where the cursor stands
    write(f"{echoed}error: {said}\n")
    os._exit(128 + number)


def write(text: str) -> None:
    """Write to standard error without Python's stream, which the signal may have interrupted."""
    try:
        os.write(2, os.fsencode(text))
    except (OSError, UnicodeError):
        return


def _receive(number: int, frame: FrameType | None) -> None:
    leave(number, "interrupted")
