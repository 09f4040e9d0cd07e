"""The workers of `cnncli tune`: processes that train trials of one study."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import IO, Any

from cnncli.api.tuning import Tuning
from cnncli.errors import CnncliError
from cnncli.notices import warn
from cnncli.system import signals
from cnncli.training.loop.interruption import Interruption
from cnncli.training.resources.threads import available
from cnncli.training.search.storage import storage_errors
from cnncli.training.search.trials import Found

LOOK, REFRESH = 0.1, 0.5
"""Seconds between two looks at the processes, and between two readings of the study."""
MOST_DEATHS = 5
"""Processes that may die before the search ends with an error."""
STORAGE = "CNNCLI_STORAGE"
"""The variable with the URL of the storage: a command line can be read by other users."""


class _Worker:
    """A process that trains trials, and what it printed."""

    def __init__(self, command: Sequence[str], url: str) -> None:
        self.printed: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `end`)
        environment = {**os.environ, STORAGE: url}
        own = {"stdin": subprocess.DEVNULL, "stdout": self.printed, "stderr": subprocess.STDOUT}
        # Ctrl-C reaches only the command, which lets its workers save their runs.
        self.process = subprocess.Popen(command, env=environment, start_new_session=True, **own)  # type: ignore[call-overload]

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        code: int | None = self.process.poll()
        return code

    def signal(self, number: int) -> None:
        """Send a signal."""
        with suppress(OSError):
            self.process.send_signal(number)

    def end(self) -> str:
        """Why it ended: the last line that it printed."""
        self.printed.seek(0)
        lines = self.printed.read().decode(errors="replace").strip().split("\n")
        self.printed.close()
        return next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), lines[-1])


def train_trials(
    tuning: Tuning,
    study: Any,
    *,
    workers: int,
    threads: int | None,
    offline: bool | None,
    resume: str,
    on_change: Callable[[Found, float], None],
) -> None:
    """Run workers until the study has all trials. `resume`: the command that goes on after Ctrl-C. `on_change(found,
    seconds)`: called with the study every half second.

    Raises InterruptedRun after a signal, when the workers have saved their runs, and CnncliError if one fails.
    """
    from cnncli.training.search.study import bury, open_trials, worker_of

    if not any(open_trials(study, tuning.search)):
        return
    each = max(1, (threads or available()) // workers)
    command = [sys.executable, "-m", "cnncli", "tune", str(tuning.source), "--worker", "--threads", str(each)]
    command += [word for text in tuning.overrides for word in ("--set", text)]
    command += ["--study", tuning.name, *(["--offline"] if offline else [])]
    team = [_Worker(command, tuning.url) for _ in range(workers)]
    deaths, begun, read = 0, monotonic(), 0.0
    with storage_errors(tuning.url), _stopped(team, tuning, study), Interruption() as interruption:
        interruption.resume = resume
        while team:
            for worker in [one for one in team if one.code is not None]:
                team.remove(worker)
                said, code = worker.end(), worker.code or 0
                lost = bury(study, worker_of(worker.process.pid))
                if code > 0:
                    raise CnncliError(said or f"a worker ended with exit code {code}")
                if code < 0:
                    deaths += 1
                    if deaths > MOST_DEATHS:
                        raise CnncliError(f"{deaths} workers were killed; the last by signal {-code}")
                    again = "".join(f"; trial {number} is repeated" for number in lost)
                    warn(f"worker {worker.process.pid} was killed by signal {-code}{again}")
                    team.append(_Worker(command, tuning.url))
            if monotonic() - read > REFRESH:
                found, read = tuning.found(study, whole=False), monotonic()
                on_change(found, read - begun)
            if interruption.signal is not None:
                _stop(team, tuning, study)
                done = sum(trial.state in ("complete", "pruned") for trial in tuning.found(study, whole=False).trials)
                interruption.raise_if_interrupted(f"after {done} of {tuning.search.settings.trials} trials")
            sleep(LOOK)
    on_change(tuning.found(study, whole=False), monotonic() - begun)


@contextmanager
def _stopped(team: list[_Worker], tuning: Tuning, study: Any) -> Iterator[None]:
    """Leave no worker behind, however the block ends."""

    def kill() -> None:
        for worker in team:
            worker.signal(signal.SIGKILL)

    with signals.undoing(kill):
        try:
            yield
        finally:
            _stop(team, tuning, study)


def _stop(team: list[_Worker], tuning: Tuning, study: Any) -> None:
    """Let the workers save their runs and end; trials that they could not give back are repeated."""
    from cnncli.training.search.study import bury, worker_of

    for worker in team:
        worker.signal(signal.SIGINT)
    for worker in team:
        worker.process.wait()
        bury(study, worker_of(worker.process.pid))
    team.clear()
