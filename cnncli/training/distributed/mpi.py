"""A group of processes over MPI."""

import os
import time
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
from mpi4py import MPI

from cnncli.errors import CnncliError, UsageError
from cnncli.training.distributed.group import SUMS, Array, Float64, Group, TreeSum, add_pairs

SPIN = 0.05
"""Seconds for which a waiting process asks again at once, because long messages only move while it asks. Then it sleeps
a little after every BURST of questions, which lets signals be handled, and others use its core."""
BURST = 100
NAP = 0.0002


class MpiGroup(Group):
    """The processes of a communicator."""

    def __init__(self, communicator: "MPI.Intracomm") -> None:
        self.communicator = communicator
        self.ends = communicator.Dup()
        self.rooms: dict[int, Array] = {}
        self.lines = [communicator.Dup() for _ in range(SUMS)]
        self.rank, self.size = communicator.Get_rank(), communicator.Get_size()
        by_slurm = os.environ.get("SLURM_STEP_NUM_TASKS") == str(self.size)
        self.launcher = "srun " if by_slurm else f"mpiexec -n {self.size} "

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
        things: list[Any] = self.guarded(lambda: self.communicator.allgather(thing))
        return things

    @cached_property
    def machine(self) -> Group:
        return MpiGroup(MPI.Intracomm(self.communicator.Split_type(MPI.COMM_TYPE_SHARED)))

    def neighbours(self, cpus: frozenset[int]) -> int:
        return sum(bool(cpus & others) for others in self.machine.gather(cpus))

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
        self.wait(self.communicator.Iallgather(np.ascontiguousarray(numbers), everyone))
        return everyone

    def begin_tree(self, data: Array, number: int) -> TreeSum:
        return MpiTreeSum(self, number, data)

    def room(self, number: int, size: int, dtype: Any) -> Array:
        """Memory for a sum's `size` numbers, which stays: pages that are new cost ten times as much as the exchange."""
        found = self.rooms.get(number)
        if found is None or found.size < size or found.dtype != dtype:
            found = self.rooms[number] = np.ones(size, dtype)
        return found[:size]

    def _meet(self) -> None:
        """Wait for all, so that a blocking call that follows takes no time."""
        self.wait(self.communicator.Ibarrier())

    def wait(self, request: "MPI.Request") -> None:
        """Wait until it is done."""
        start = time.perf_counter()
        for number in count():
            if self.guarded(request.Test):
                return
            if number % BURST or time.perf_counter() - start < SPIN:
                os.sched_yield()  # to a process that is waited for, if there are more of them than cores
            else:
                time.sleep(NAP)

    def guarded(self, call: Any) -> Any:
        """The result of a call. Raises CnncliError if the others can't be reached."""
        try:
            return call()
        except MPI.Exception as error:
            raise CnncliError(f"process {self.rank} of {self.size} lost the others: {error}") from None


class MpiTreeSum(TreeSum):
    """A sum over processes. Each adds up one segment of all, in a fixed order, and hands the sums out: every process
    sends 2 · (size − 1) / size of the data, as little as possible.

    Its two exchanges have a line of their own, because they may begin in another order in each process.
    """

    def __init__(self, group: MpiGroup, number: int, data: Array) -> None:
        super().__init__(data)
        size, rank = group.size, group.rank
        self.group, self.line = group, group.lines[number]
        bounds = [len(data) * number // size for number in range(size + 1)]
        own = bounds[rank + 1] - bounds[rank]
        self.kind = MPI.FLOAT if data.dtype == np.float32 else MPI.DOUBLE
        self.whole = [data, (np.diff(bounds), bounds[:-1]), self.kind]
        self.segments = group.room(number, size * own, data.dtype).reshape(size, own)
        received = [self.segments, ([own] * size, [own * number for number in range(size)]), self.kind]
        self.request, self.summed = self.line.Ialltoallv(self.whole, received), False

    def advance(self) -> bool:
        if not self.group.guarded(self.request.Test):
            return False
        if not self.summed:
            self._hand_out()
        return bool(self.group.guarded(self.request.Test))

    def finish(self) -> Array:
        self.group.wait(self.request)
        if not self.summed:
            self._hand_out()
            self.group.wait(self.request)
        return self.data

    def _hand_out(self) -> None:
        self.summed, self.mine = True, add_pairs(list(self.segments))
        self.request = self.line.Iallgatherv([self.mine, len(self.mine), self.kind], self.whole)
