"""Finding the processes that were started together, by `mpiexec` or `srun`.

Imports neither NumPy nor Numba nor mpi4py unless there are several processes.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING

from cnncli.errors import CnncliError, UsageError
from cnncli.extras import require
from cnncli.training.resources.threads import affinity, available

if TYPE_CHECKING:
    from cnncli.training.distributed.group import Group

SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
"""Variables with the number of processes and the number of this one, as MPICH, Open MPI, MVAPICH and srun set them."""
GRACE = 2.0
"""Seconds that a process which failed waits for the others to fail, too, before it ends them."""

PASSED_ON = 0.3
"""Seconds in which a launcher passes on what a process has said: it may drop the rest when it ends all."""


def launched(environment: Mapping[str, str] = os.environ) -> int:
    """The number of processes that a launcher started together; 1 without one."""
    numbers = [environment.get(name, "") for name in SIZES]
    return max([int(number) for number in numbers if number.isdecimal()], default=1)


def rank_told(environment: Mapping[str, str] = os.environ) -> int:
    """The number that the launcher gave this process, before MPI is started; 0 if none."""
    numbers = [environment.get(name, "") for name in RANKS]
    return next((int(number) for number in numbers if number.isdecimal()), 0)


def refuse_launcher(what: str) -> None:
    """Raise UsageError if a launcher started several processes."""
    if launched() > 1:
        raise UsageError(f"{what}; start it without a launcher of several processes")


def works_alone(environment: MutableMapping[str, str] = os.environ) -> bool:
    """Whether this process does the work of a command that only the first of the launched processes runs. Afterwards
    it, and what it starts, know nothing of the launcher.
    """
    first = launched(environment) == 1 or rank_told(environment) == 0
    for name in (*SIZES, *RANKS):
        environment.pop(name, None)
    return first


@cache
def group() -> "Group":
    """The processes that were started with this one. Raises UsageError if they can't reach each other."""
    size = launched()
    if size == 1:
        from cnncli.training.distributed.group import ALONE

        return ALONE
    require(f"training in {size} processes", "mpi4py", ("mpi4py",), "mpi")
    try:
        from cnncli.training.distributed.mpi import MpiGroup
    except (ImportError, RuntimeError) as error:  # no MPI library, or one that mpi4py was not built for
        why = str(error).partition("\n")[0]  # then come all the places where it was looked for
        raise UsageError(
            f"a launcher started {size} processes, but mpi4py can't load an MPI library ({why}): install one, for "
            "example with `pip install mpich`, and start with its mpiexec"
        ) from None
    return MpiGroup.world(size)


def threads_of_process() -> int:
    """The number of CPUs for this process, if processes on this machine share those that they may run on."""
    return max(1, available() // group().neighbours(frozenset(affinity())))


@cache
def console() -> int:
    """A file for what this process must print. From now on, only the first process prints anything else."""
    kept = os.dup(2)
    if rank_told():
        silent = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(silent, stream.fileno())
    return kept


@contextmanager
def together() -> Iterator[None]:
    """Context in which processes that a launcher started work together: only the first one prints.

    If one of them fails alone, it says why and ends the others, which may be waiting for it. If one is killed, a line
    says what resumes the training.
    """
    if launched() == 1:
        yield
        return
    from cnncli.training.distributed.watch import Watch, be_watched  # sockets, which no other command needs

    own = console()
    with nullcontext() if rank_told() else Watch() as watch:
        found = group()
        address = found.from_first(watch and watch.address)
        line = None
        if watch is None:
            line = be_watched(address, found.rank)
        else:
            watch.tell("size", found.size)
            found.on_saved = lambda command: watch.tell("resume", command)
        try:
            yield
            found.all_end(None)
        except BaseException as error:
            if not found.all_end(GRACE):
                code = error.exit_code if isinstance(error, CnncliError) else 1
                os.write(own, os.fsencode(f"error: process {found.rank}: {error or type(error).__name__}\n"))
                if watch is not None:
                    watch.tell("done", True)
                time.sleep(PASSED_ON)
                found.abort(code)
            raise
        finally:
            if line is not None:
                line.close()
