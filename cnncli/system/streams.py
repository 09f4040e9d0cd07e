"""The standard streams of the command line, made fit for use in whatever state the process was started."""

import io
import os
import sys

INPUT, OUTPUT, ERRORS = range(3)
MODES = {INPUT: os.O_WRONLY, OUTPUT: os.O_RDONLY, ERRORS: os.O_WRONLY}
"""How the null device stands in for a closed stream: where input is read or output is written, that fails, as it does
with a closed one; what is said to nobody is no failure."""
_without_output = False


class _Heedless(io.FileIO):
    """A file that takes what it is given, whether that can be written or not."""

    def write(self, content: "memoryview | bytes") -> int:  # type: ignore[override]
        try:
            return super().write(content)
        except OSError:
            return len(content)


def prepare() -> None:
    """Open streams that are closed, before a file that is opened gets the number of one; let no error message fail.

    A full or closed standard error then changes neither what is done nor the exit code.
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
    told = io.BufferedWriter(_Heedless(ERRORS, "w", closefd=False))  # type: ignore[type-var]
    sys.stderr = io.TextIOWrapper(told, encoding, errors="backslashreplace", line_buffering=True)


def do_without_output() -> bool:
    """Where standard output is closed, go on without it: for what leaves more behind than it prints. Whether it is."""
    global _without_output
    closed, _without_output = _without_output, False
    if closed:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    return closed


def drop_unwritten() -> None:
    """Let go of output that could not be written, which would change the exit code once more at the very end."""
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
