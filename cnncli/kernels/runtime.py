"""The step runner: workers compiled to addresses, and programs of steps that the `driver` walks.

A *worker* is a C function `(parameters, chunk, thread)` that does one chunk of one operation. `parameters` is the
address of its parameter block (a record of 8-byte integers and floats: addresses of arrays, sizes, constants), `chunk`
says which part, `thread` which of the per-thread scratch areas it may use. A *step* is a worker's address, a block's
address and a number of chunks; a *program* is an array of steps, run by one compiled call.

A kernel file reads top-down: planner (arrays' places in, steps out), then its workers:

    SCALE = block("x out size factor:f")

    def scale(x: Tensor, out: Tensor, factor: float) -> list[Step]:
        '''out = factor · x. x, out: real, any shape.'''
        places = {"x": x.address, "out": out.address}
        return [scale_worker.step(out.dtype, chunks(out.size), **places, size=out.size, factor=factor)]

    @worker(SCALE)
    def scale_worker(real):
        def scale(parameters, chunk, thread):
            p = fields(parameters, SCALE)
            start, stop = span(chunk, p.size)
            x, out = view(p.x, p.size, real)[start:stop], view(p.out, p.size, real)[start:stop]
            factor = real(p.factor)
            for i in range(stop - start):
                out[i] = x[i] * factor
        return scale

(Loops from 0 over slices, with constants taken out of the block first, are what LLVM vectorizes.)

Chunks run in any order and on any thread, so a chunk writes only what no other chunk writes.
"""

import threading
from collections.abc import Callable, Sequence
from math import prod
from time import perf_counter
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

from cnncli.kernels import cache
from cnncli.kernels.compilations import Compilation, tell
from cnncli.kernels.driver import COUNTERS, drive

REALS = {"float32": types.float32, "float64": types.float64}
SIGNATURE = types.void(types.intp, types.intp, types.intp)
SPAN = 16384
"""Elements in a chunk of an elementwise worker: 64 KiB of float32, half of a usual L2's share for two arrays."""


class Tensor(NamedTuple):
    """Where an array lies: its address, its shape (batch axis included) and its dtype's name. C-contiguous."""

    address: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)


class Step(NamedTuple):
    """One operation of a program: `worker` runs for chunks 0 … `chunks`-1 on the parameter block."""

    worker: int
    parameters: np.ndarray[Any, Any]
    chunks: int


class Scratch:
    """Working memory of one operation, given out at planning time and forgotten with the next operation.

    A planner asks for what it needs; a first pass with `base=0` only measures (`used`), the second hands out addresses.
    """

    def __init__(self, base: int, threads: int) -> None:
        self.base, self.threads, self.used = base, threads, 0

    def take(self, size: int) -> int:
        """The address of `size` bytes, aligned to 64, shared by all chunks."""
        address = self.base + self.used
        self.used += -(-size // 64) * 64
        return address

    def per_thread(self, size: int) -> tuple[int, int]:
        """The address of thread 0's `size` bytes and the distance in bytes to the next thread's."""
        stride = -(-size // 64) * 64
        return self.take(stride * self.threads), stride


def set_threads(count: int) -> None:
    """Let programs use `count` threads. Raises ValueError for more than Numba was started with."""
    numba.set_num_threads(count)


def threads() -> int:
    """How many threads programs use."""
    return int(numba.get_num_threads())


def tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """Where `array` lies. Raises ValueError for one that is not C-contiguous."""
    if not array.flags.c_contiguous:
        raise ValueError(f"kernels take C-contiguous arrays; received strides {array.strides} for shape {array.shape}")
    return Tensor(array.ctypes.data, array.shape, array.dtype.name)


def block(names: str) -> types.Type:
    """The record type of a parameter block: 8-byte integers, or float64 where a name ends in `:f`."""
    kinds = [(name.removesuffix(":f"), np.float64 if name.endswith(":f") else np.int64) for name in names.split()]
    return numba.from_dtype(np.dtype(kinds))


class Function:
    """A family of compiled C functions of three integers, one a dtype, made from a factory when first asked for."""

    def __init__(self, factory: Callable[..., Callable[..., None]]) -> None:
        self.factory = factory
        self.compiled: dict[tuple[Any, ...], Any] = {}
        self.__doc__ = factory.__doc__

    def address(self, dtype: str, *variant: Any) -> int:
        """The address of the function for `dtype`; `variant` are further constants the factory takes."""
        key = (dtype, *variant)
        if key not in self.compiled:
            function, start = self.factory(REALS[dtype], *variant), perf_counter()
            self.compiled[key] = cache.compiled(
                lambda kept: cfunc(SIGNATURE, cache=kept, error_model="numpy", fastmath={"nsz"})(function)
            )
            module = self.factory.__module__.rpartition(".")[2]
            name = " ".join([f"{module}.{self.factory.__name__.removesuffix('_worker')}", *map(str, variant)])
            tell(Compilation(name, dtype, perf_counter() - start, self.compiled[key].cache_hits > 0))
        return int(self.compiled[key].address)


class Worker(Function):
    """Functions that do a chunk of an operation: (parameters, chunk, thread)."""

    def __init__(self, factory: Callable[..., Callable[..., None]], fields: types.Type) -> None:
        super().__init__(factory)
        self.dtype = numba.np.numpy_support.as_dtype(fields)

    def step(self, dtype: str, chunks: int, *variant: Any, **fields: float) -> Step:
        """A step of this worker. `fields` must name exactly the block's fields."""
        if fields.keys() != set(self.dtype.names):
            raise TypeError(f"{self.factory.__name__} takes {self.dtype.names}, received {tuple(fields)}")
        parameters = np.zeros(1, self.dtype)
        parameters[0] = tuple(fields[name] for name in self.dtype.names)
        return Step(self.address(dtype, *variant), parameters, chunks)


def worker(fields: types.Type) -> Callable[[Callable[..., Callable[..., None]]], Worker]:
    """Decorate a factory `real -> function(parameters, chunk, thread)`; `real` is Numba's float32 or float64."""
    return lambda factory: Worker(factory, fields)


def function(factory: Callable[..., Callable[..., None]]) -> Function:
    """Decorate a factory `real -> function(a, b, c)` of what workers call by its address."""
    return Function(factory)


def chunks(size: int) -> int:
    """How many chunks an elementwise worker over `size` elements has; `span` gives each one's part."""
    return max(1, -(-size // SPAN))


@njit(inline="always")
def span(chunk, size):
    """The half-open range of elements of an elementwise chunk."""
    return chunk * SPAN, min(size, (chunk + 1) * SPAN)


@intrinsic
def pointer(typing_context, address, target):
    """The integer `address` as a pointer to `target`."""
    element = target.dtype if isinstance(target, types.DTypeSpec) else target.instance_type
    kind = types.CPointer(element)

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(address, target), generate


@njit(inline="always")
def view(address, shape, dtype):
    """The array of `shape` (an integer or a tuple) and `dtype` at `address`."""
    return carray(pointer(address, dtype), shape)


@njit(inline="always")
def fields(address, record):
    """The parameter block at `address`."""
    return carray(pointer(address, record), 1)[0]


_turn = threading.Lock()
"""Numba lets other Python threads run while it is in a parallel region; workqueue then ends the process."""


class Program:
    """Steps ready to run. Keeps the parameter blocks alive; the arrays they point to are the caller's to keep.

    `threads` is the most it uses, as many as its scratch was planned for: the number in force may be another when it
    runs, and Numba keeps one for each Python thread.
    """

    def __init__(self, steps: Sequence[Step], threads: int | None = None) -> None:
        self.threads = threads
        self.blocks = [step.parameters for step in steps]
        self.table = np.array(
            [(step.worker, step.parameters.ctypes.data, step.chunks) for step in steps], np.int64
        ).reshape(-1, 3)
        self.counters = np.zeros(COUNTERS // 8 * len(steps), np.int64)
        self.most = max([step.chunks for step in steps], default=1)

    def run(self) -> None:
        """Run every step, in order, in one compiled call; where another Python thread runs a program, after that."""
        count = threads() if self.threads is None else min(self.threads, threads())
        with _turn:
            drive(self.table, self.counters.ctypes.data, min(count, self.most))


def run(steps: Sequence[Step]) -> None:
    """Run steps once."""
    Program(steps).run()
