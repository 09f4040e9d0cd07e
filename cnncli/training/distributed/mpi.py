"""A group of processes over MPI."""

import os
import time
from typing import Any

import numpy as np
from mpi4py import MPI

from cnncli.errors import CnncliError, UsageError
from cnncli.training.distributed.group import Array, Float64, Group, add_pairs

SPIN = 0.002
"""Seconds for which a waiting process asks again at once; then it sleeps a little in between, which leaves its core to
others and lets a signal be handled."""
NAP = 0.0002


class MpiGroup(Group):
    """The processes of a communicator."""

    def __init__(self, communicator: "MPI.Intracomm") -> None:
        self.communicator = communicator
        self.ends = communicator.Dup()
        self.rank, self.size = communicator.Get_rank(), communicator.Get_size()

    @classmethod
    def world(cls, expected: int) -> "MpiGroup":
        """All processes. Raises UsageError if MPI sees another number than the launcher started."""
        found = MPI.COMM_WORLD.Get_size()
        if found != expected:
            library = MPI.Get_library_version().split("\n")[0].strip("\0 ,")
            raise UsageError(
                f"the launcher started {expected} processes, but MPI sees {found}: mpi4py uses {library}, and this "
                "mpiexec may be of another MPI; start with the mpiexec that belongs to it"
            )
        return cls(MPI.COMM_WORLD.Dup())

    def gather(self, thing: Any) -> list[Any]:
        self._meet()
        things: list[Any] = self._guarded(lambda: self.communicator.allgather(thing))
        return things

    def neighbours(self, cpus: frozenset[int]) -> int:
        here = self.communicator.Split_type(MPI.COMM_TYPE_SHARED)
        found = sum(bool(cpus & others) for others in here.allgather(cpus))
        here.Free()
        return found

    def all_end(self, seconds: float | None) -> bool:
        request, start = self.ends.Ibarrier(), time.perf_counter()
        while not request.Test():
            if seconds is not None and time.perf_counter() - start > seconds:
                return False
            time.sleep(NAP)
        return True

    def abort(self, code: int) -> None:
        self.communicator.Abort(code)

    def gather_numbers(self, numbers: Float64) -> Float64:
        everyone = np.empty((self.size, len(numbers)))
        self._wait(self.communicator.Iallgather(np.ascontiguousarray(numbers), everyone))
        return everyone

    def sum_tree(self, data: Array) -> None:
        # Each process adds up one segment of all, in a fixed order, and hands the sums out: 2 · (size − 1) / size of
        # the data are sent by each, as few as possible.
        bounds = [len(data) * number // self.size for number in range(self.size + 1)]
        counts, own = np.diff(bounds), bounds[self.rank + 1] - bounds[self.rank]
        kind = MPI.FLOAT if data.dtype == np.float32 else MPI.DOUBLE
        segments = np.empty((self.size, own), data.dtype)
        sent = [data, (counts, bounds[:-1]), kind]
        received = [segments, ([own] * self.size, [own * number for number in range(self.size)]), kind]
        self._wait(self.communicator.Ialltoallv(sent, received))
        mine = add_pairs(list(segments))
        self._wait(self.communicator.Iallgatherv([mine, own, kind], [data, (counts, bounds[:-1]), kind]))

    def _meet(self) -> None:
        """Wait for all, so that a blocking call that follows takes no time."""
        self._wait(self.communicator.Ibarrier())

    def _wait(self, request: "MPI.Request") -> None:
        start = time.perf_counter()
        while not self._guarded(request.Test):
            if time.perf_counter() - start > SPIN:
                time.sleep(NAP)
            else:
                os.sched_yield()  # to a process that is waited for, if there are more of them than cores

    def _guarded(self, call: Any) -> Any:
        try:
            return call()
        except MPI.Exception as error:
            raise CnncliError(f"process {self.rank} of {self.size} lost the others: {error}") from None
