"""The step runner: workers compiled to addresses, and programs of passes over steps that the `driver` walks.

A *worker* is a C function `(parameters, start, stop, thread)` that does the units start … stop − 1 of one operation.
`parameters` is the address of its parameter block (a record of 8-byte integers and floats: addresses of arrays, sizes,
constants), `thread` says which of the per-thread scratch areas it may use. What a unit is, the planner says: an
element, an image, a tile. A *step* is a worker's address, a block's address and its `Work`; a *program* is an array of
steps, run by one compiled call.

A kernel file reads top-down: planner (arrays' places in, steps out), then its workers:

    SCALE = block("x out factor:f")

    def scale(x: Tensor, out: Tensor, factor: float) -> list[Step]:
        '''out = factor · x. x, out: real (N, …).'''
        return [scale_worker.step(out.dtype, elements(out), x=x.address, out=out.address, factor=factor)]

    @worker(SCALE)
    def scale_worker(real):
        item = real.bitwidth // 8
        def scale(parameters, start, stop, thread):
            p = fields(parameters, SCALE)
            size = stop - start
            x, out = view(p.x + start * item, size, real), view(p.out + start * item, size, real)
            factor = real(p.factor)
            for i in range(size):
                out[i] = x[i] * factor
        return scale

(Loops from 0 over slices, with constants taken out of the block first, are what LLVM vectorizes.)

Units are done in any order and on any thread, so one writes only what no other writes.
"""

import threading
from collections.abc import Callable, Sequence
from math import prod
from time import perf_counter
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import carray, cfunc, njit, types
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic

from cnncli.kernels.jit import cache
from cnncli.kernels.jit.compilations import Compilation, tell
from cnncli.kernels.jit.driver import COUNTERS, LINE, drive
from cnncli.kernels.jit.relocation import Moved

REALS = {"float32": types.float32, "float64": types.float64}
WORKER = types.void(*[types.intp] * 4)
FUNCTION = types.void(*[types.intp] * 3)
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


class Work(NamedTuple):
    """What a step has to do: `units`, of which a thread takes `grain` at a time; all of them in each of `strands`.

    A worker counts on from strand to strand. `rows`: where the units are those of so many rows of a batch, in order,
    and a row needs only the same row of what other steps make; 0 where it is not so. `chained`: the units of a grain
    are done in order, each call after the last, for they add to the same sums.
    """

    units: int
    grain: int = 1
    rows: int = 0
    strands: int = 1
    chained: bool = False

    @property
    def chunks(self) -> int:
        """How many parts threads may take, where the step is done alone."""
        return self.strands * -(-self.units // self.grain)


def elements(x: "int | Tensor") -> Work:
    """The work of an elementwise worker over so many elements, or over all of a batch."""
    return Work(x, SPAN) if isinstance(x, int) else Work(x.size, SPAN, x.shape[0])


def images(batch: int, together: int = 1, parts: int = 1) -> Work:
    """The work of a worker whose unit is one of the `parts` of an image; if it is whole, some `together`."""
    return Work(batch * parts, together, batch)


class Step(NamedTuple):
    """One operation of a program: `worker` does its `work` with the parameter block."""

    worker: int
    parameters: np.ndarray[Any, Any]
    work: Work

    @property
    def chunks(self) -> int:
        """How many parts threads may take, where the step is done alone."""
        return self.work.chunks


class Pass(NamedTuple):
    """Steps on the same `rows` of a batch that each portion of it goes through together, while it is in the cache.

    A thread takes `lane` rows, `portion` of them at a time; of some arrays it keeps only those, as `moved` tells.
    """

    steps: Sequence[Step]
    rows: int
    lane: int
    portion: int
    moved: Sequence[Moved] = ()

    @property
    def chunks(self) -> int:
        """How many lanes threads may take."""
        return -(-self.rows // self.lane)


class Scratch:
    """Working memory of one operation, given out at planning time.

    `take` gives what all threads share, from `base` on, `per_thread` what each has for itself: thread 0 from `private`
    on, each further one `stride` bytes behind; that is done with when the next operation's turn comes. A first pass
    without places only measures (`used`, `used_by_thread`), the second hands out addresses.
    """

    def __init__(self, base: int = 0, private: int = 0, stride: int = 0) -> None:
        self.base, self.private, self.stride = base, private, stride
        self.used = self.used_by_thread = 0

    def take(self, size: int) -> int:
        """The address of `size` bytes, aligned to 64, shared by all chunks."""
        address = self.base + self.used
        self.used += -(-size // 64) * 64
        return address

    def per_thread(self, size: int) -> tuple[int, int]:
        """The address of thread 0's `size` bytes and the distance in bytes to the next thread's."""
        address = self.private + self.used_by_thread
        self.used_by_thread += -(-size // 64) * 64
        return address, self.stride


def _check_cacheable(function: Callable[..., None]) -> None:
    """Raise TypeError where Numba would never find the function again: it looks for it by what its closure holds, and
    a compiled function in there is another one in each process.
    """
    for cell in function.__closure__ or ():
        if isinstance(cell.cell_contents, Dispatcher):
            raise TypeError(
                f"{function.__qualname__} must call {cell.cell_contents.py_func.__name__} as a module's function"
            )


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

    signature = FUNCTION

    def __init__(self, factory: Callable[..., Callable[..., None]]) -> None:
        self.factory = factory
        self.compiled: dict[tuple[Any, ...], Any] = {}
        self.__doc__ = factory.__doc__

    def address(self, dtype: str, *variant: Any) -> int:
        """The address of the function for `dtype`; `variant` are further constants the factory takes.

        Raises ValueError for a dtype that kernels do not compute in.
        """
        key = (dtype, *variant)
        if key not in self.compiled:
            if dtype not in REALS:
                raise ValueError(f"kernels compute in {' or '.join(REALS)}; received {dtype!r}")
            function, start = self.factory(REALS[dtype], *variant), perf_counter()
            _check_cacheable(function)
            module = self.factory.__module__
            own = f"{module.rpartition('.')[2]}.{self.factory.__name__.removesuffix('_worker')}"
            name = " ".join([own, *map(str, variant)])
            self.compiled[key] = cache.compiled(
                module,
                f"{name} {dtype}",
                lambda kept: cfunc(self.signature, cache=kept, error_model="numpy", fastmath={"nsz"})(function),
            )
            tell(Compilation(name, dtype, perf_counter() - start, self.compiled[key].cache_hits > 0))
        return int(self.compiled[key].address)


class Worker(Function):
    """Functions that do some units of an operation: (parameters, start, stop, thread)."""

    signature = WORKER

    def __init__(self, factory: Callable[..., Callable[..., None]], fields: types.Type) -> None:
        super().__init__(factory)
        self.dtype = numba.np.numpy_support.as_dtype(fields)

    def step(self, dtype: str, work: int | Work, *variant: Any, **fields: float) -> Step:
        """A step of this worker; units alone are chunks each. `fields` must name exactly the block's fields."""
        if fields.keys() != set(self.dtype.names):
            raise TypeError(f"{self.factory.__name__} takes {self.dtype.names}, received {tuple(fields)}")
        parameters = np.zeros(1, self.dtype)
        parameters[0] = tuple(fields[name] for name in self.dtype.names)
        return Step(self.address(dtype, *variant), parameters, work if isinstance(work, Work) else Work(work))


def worker(fields: types.Type) -> Callable[[Callable[..., Callable[..., None]]], Worker]:
    """Decorate a factory `real -> function(parameters, start, stop, thread)`; `real` is Numba's float32 or float64."""
    return lambda factory: Worker(factory, fields)


def function(factory: Callable[..., Callable[..., None]]) -> Function:
    """Decorate a factory `real -> function(a, b, c)` of what workers call by its address."""
    return Function(factory)


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
    """Steps and passes ready to run. Keeps parameter blocks alive; the arrays they point to are the caller's to keep.

    `threads` is the most it uses, as many as its scratch was planned for: the number in force may be another when it
    runs, and Numba keeps one for each Python thread.
    """

    def __init__(self, parts: Sequence[Step | Pass], threads: int | None = None) -> None:
        self.threads = threads
        self.steps: list[Step] = []
        self.own: list[np.ndarray[Any, Any]] = []
        lines: list[tuple[int, ...]] = []
        passes: list[tuple[int, ...]] = []
        moves: list[tuple[int, ...]] = []
        for part in parts:
            steps, *cut, moved = part if isinstance(part, Pass) else ([part], 0, 0, 0, ())
            own = {number: self._parameters(steps[number]) for number in {move.step for move in moved}}
            passes.append((len(lines), len(lines) + len(steps), *cut, part.chunks, len(moves), len(moves) + len(moved)))
            moves += [_move(move, own[move.step]) for move in moved]
            lines += [_line(step, own.get(number)) for number, step in enumerate(steps)]
            self.steps += steps
        self.table = np.array(lines, np.int64).reshape(-1, 7)
        self.passes = np.array(passes, np.int64).reshape(-1, 8)
        self.moves = np.array(moves, np.int64).reshape(-1, 5)
        self.counters = np.zeros(COUNTERS // 8 * len(passes), np.int64)
        self.counters_at = self.counters.ctypes.data  # to ask for it takes microseconds
        self.most = max([part.chunks for part in parts], default=1)

    def run(self) -> None:
        """Run everything, in order, in one compiled call; where another Python thread runs a program, after that."""
        count = threads() if self.threads is None else min(self.threads, threads())
        with _turn:
            drive(self.table, self.passes, self.moves, self.counters_at, max(1, min(count, self.most)))

    def _parameters(self, step: Step) -> np.ndarray[Any, Any]:
        """Each thread's own copy of a step's block: int64 (threads, words), rows apart by whole cache lines."""
        words = step.parameters.view(np.int64)
        threads = numba.config.NUMBA_NUM_THREADS if self.threads is None else self.threads
        own = np.zeros((threads, (words.nbytes // LINE + 2) * LINE // words.itemsize), np.int64)
        own[:, : words.size] = words
        self.own.append(own)
        return own


def _line(step: Step, own: np.ndarray[Any, Any] | None) -> tuple[int, ...]:
    units, grain, rows, strands, _ = step.work
    address, stride = (step.parameters.ctypes.data, 0) if own is None else (own.ctypes.data, own.strides[0])
    return step.worker, address, units, grain, strands, units // rows if rows else 0, stride


def _move(move: Moved, own: np.ndarray[Any, Any]) -> tuple[int, ...]:
    return own.ctypes.data + 8 * move.word, own.strides[0], move.start, move.stride, move.row


def run(steps: Sequence[Step | Pass]) -> None:
    """Run steps once."""
    Program(steps).run()
