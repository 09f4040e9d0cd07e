"""Makes the standard streams usable even if the process was started with closed streams."""

import io
import os
import sys

INPUT, OUTPUT, ERRORS = range(3)
MODES = {INPUT: os.O_WRONLY, OUTPUT: os.O_RDONLY, ERRORS: os.O_WRONLY}
"""How to open the null device in place of a closed stream: reading input and writing output fail, as with a closed
stream; writing errors succeeds."""
_without_output = False


class _IgnoringErrors(io.FileIO):
    """A file that ignores write errors."""

    def write(self, content: "memoryview | bytes") -> int:  # type: ignore[override]
        try:
            return super().write(content)
        except OSError:
            return len(content)


def prepare() -> None:
    """Open closed streams, so that no file gets their descriptors, and ignore errors of writing to standard error.

    A full or closed standard error then affects neither the work nor the exit code.
    """
    global _without_output  # noqa: PLW0603
    closed = [number for number in MODES if not _is_open(number)]
    for number in closed:
        opened = os.open(os.devnull, MODES[number])
        assert opened == number  # the least that is free, and those before it are open
    if INPUT in closed:
        sys.stdin = open(INPUT, encoding="utf-8", closefd=False)  # noqa: SIM115 (a descriptor, not a path)
    if OUTPUT in closed:
        _without_output = True
        sys.stdout = open(OUTPUT, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    encoding = sys.stderr.encoding if sys.stderr else "utf-8"
    errors = io.BufferedWriter(_IgnoringErrors(ERRORS, "w", closefd=False))  # type: ignore[type-var]
    sys.stderr = io.TextIOWrapper(errors, encoding, errors="backslashreplace", line_buffering=True)


def do_without_output() -> bool:
    """Discard output if standard output is closed, for commands that write files; whether it is closed."""
    global _without_output
    closed, _without_output = _without_output, False
    if closed:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    return closed


def drop_unwritten() -> None:
    """Discard unwritten output, which would otherwise change the exit code at interpreter exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
