"""cnncli and others as processes: what they print, how long they take, how much memory they want at most."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter
from typing import Any, NamedTuple

from cnncli.errors import CnncliError

KIBIBYTES = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit of `ru_maxrss`."""


ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
}
"""That of the processes: Python keeps the modules it has compiled, as an installation does; torch.compile does not keep
its own, so that its time is that of a first run."""
NOTHING: Mapping[str, str] = {}


class Usage(NamedTuple):
    """Of a process from its start to its end: seconds of the clock, and bytes of memory at their most."""

    seconds: float
    memory: int


def output(*arguments: str, environment: Mapping[str, str] = NOTHING) -> str:
    """What `python ARGUMENTS` prints. Raises CnncliError with its last complaint where it fails."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env={**ENVIRONMENT, **environment}
    )
    if done.returncode:
        raise _failure(arguments, done.returncode, done.stderr)
    return done.stdout


def compiling() -> list[str]:
    """Options for `cnncli benchmark --against torch`: torch.compile counts too where its C++ compiler is installed."""
    default = "clang++" if sys.platform == "darwin" else "g++"
    return ["--compile"] if shutil.which(os.environ.get("CXX", default)) else []


def benchmark(spec: str | Path, *options: str, rounds: int) -> dict[str, Any]:
    """What `cnncli benchmark SPEC OPTIONS --json` prints."""
    text = output("-m", "cnncli", "benchmark", str(spec), *options, "--rounds", str(rounds), "--json")
    document: dict[str, Any] = json.loads(text)
    return document


def usage(*arguments: str, printed: Path = Path(os.devnull), environment: Mapping[str, str] = NOTHING) -> Usage:
    """Run `python ARGUMENTS`, which writes into the file `printed`; what it took.

    Raises CnncliError with its last complaint where it fails.

    Linux begins to count a process's memory with that of the one which started it: it must be a small one.
    """
    with TemporaryFile() as errors, printed.open("wb") as written:
        start = perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=written, stderr=errors, env={**ENVIRONMENT, **environment}
        )
        _, status, resources = os.wait4(process.pid, 0)
        seconds = perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise _failure(arguments, process.returncode, errors.read().decode("utf-8", "replace"))
    return Usage(seconds, resources.ru_maxrss * KIBIBYTES)


def _failure(arguments: Sequence[str], code: int, errors: str) -> CnncliError:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = lines[-1].removeprefix("error: ").removeprefix("Error: ") if lines else f"it ended with exit code {code}"
    return CnncliError(f"python {' '.join(arguments)}: {said}")
