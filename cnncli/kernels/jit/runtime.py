"""The runtime: workers compiled to addresses, and programs of passes over steps, executed by the `driver`.

A *worker* is a C function `(parameters, start, stop, thread)` that processes units start … stop − 1 of one operation.
`parameters` is the address of its parameter block (a record of 8-byte integers and floats: addresses of arrays, sizes,
constants), `thread` is the index of its thread-local scratch. The planner defines the unit: an element, an image, a
tile. A *step* is a worker's address, a block's address and its `Work`; a *program* is an array of steps, run by one
compiled call.

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

(LLVM vectorizes loops from 0 over slices, with loop-invariant values loaded from the block first.)

Units run in any order and on any thread, so their outputs must be disjoint.
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
from cnncli.kernels.jit.driver import COUNTERS, drive
from cnncli.kernels.jit.intrinsics import LINE
from cnncli.kernels.jit.relocation import Moved


class _BFloat16(types.Type):  # type: ignore[misc]
    """A real stored as bfloat16 and computed in float32."""

    bitwidth = 16

    def __init__(self) -> None:
        super().__init__("bfloat16")

    def __reduce__(self) -> str:  # a part of the key of a compiled function: the same in every process
        return "BFLOAT16"


BFLOAT16 = _BFloat16()
REALS = {"float32": types.float32, "float64": types.float64, "bfloat16": BFLOAT16}
WORKER = types.void(*[types.intp] * 4)
FUNCTION = types.void(*[types.intp] * 3)
SPAN = 16384
"""Elements per chunk of an elementwise worker: 64 KiB of float32, half of a typical L2's share for two arrays."""


class Tensor(NamedTuple):
    """A C-contiguous array: its address, its shape (batch axis included) and its dtype's name."""

    address: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)


class Work(NamedTuple):
    """Work of a step: `units`, taken `grain` at a time by a thread, repeated for each of `strands`.

    Unit numbers continue from strand to strand. `rows`: the number of batch rows if the units belong to these rows in
    order, and a row depends only on the same row of other steps' outputs; otherwise 0. `chained`: the units of a grain
    run in order, one call after another, because they accumulate into the same sums. `of_weights`: nothing of the batch
    is read, although other steps of the operation need the whole batch.
    """

    units: int
    grain: int = 1
    rows: int = 0
    strands: int = 1
    chained: bool = False
    of_weights: bool = False

    @property
    def chunks(self) -> int:
        """The number of chunks if the step is not part of a pass."""
        return self.strands * -(-self.units // self.grain)


def elements(x: "int | Tensor") -> Work:
    """Return the work of an elementwise worker over `x` elements, or all elements of a batch."""
    return Work(x, SPAN) if isinstance(x, int) else Work(x.size, SPAN, x.shape[0])


def images(batch: int, together: int = 1, parts: int = 1) -> Work:
    """Return the work of a worker whose unit is one of the `parts` of an image; whole images are taken `together`."""
    return Work(batch * parts, together, batch)


class Step(NamedTuple):
    """One operation of a program: a worker, its parameter block and its `work`."""

    worker: int
    parameters: np.ndarray[Any, Any]
    work: Work

    @property
    def chunks(self) -> int:
        """The number of chunks if the step is not part of a pass."""
        return self.work.chunks


class Pass(NamedTuple):
    """Steps on the same `rows` of a batch, all run on each portion of it while it is in cache.

    A thread takes `lane` rows and processes `portion` of them at a time. Arrays listed in `moved` are thread-local and
    hold one portion only.
    """

    steps: Sequence[Step]
    rows: int
    lane: int
    portion: int
    moved: Sequence[Moved] = ()

    @property
    def chunks(self) -> int:
        """The number of lanes."""
        return -(-self.rows // self.lane)


class Scratch:
    """Working memory of one operation, allocated at planning time.

    `take` allocates shared memory, starting at `base`; `per_thread` allocates thread-local memory, starting at
    `private` + thread · `stride`, whose lifetime ends before the next operation. `lasting`: what is computed from
    weights alone stays in shared memory as long as they do not change. Planning runs twice: first without addresses to
    measure sizes (`used`, `used_by_thread`), then with them.
    """

    def __init__(self, base: int = 0, private: int = 0, stride: int = 0, *, lasting: bool = False) -> None:
        self.base, self.private, self.stride, self.lasting = base, private, stride, lasting
        self.used = self.used_by_thread = 0

    def take(self, size: int) -> int:
        """Allocate `size` bytes, aligned to 64, shared by all chunks; return their address."""
        address = self.base + self.used
        self.used += -(-size // 64) * 64
        return address

    def per_thread(self, size: int) -> tuple[int, int]:
        """Allocate `size` bytes per thread; return thread 0's address and the stride in bytes between threads."""
        address = self.private + self.used_by_thread
        self.used_by_thread += -(-size // 64) * 64
        return address, self.stride


def _check_cacheable(function: Callable[..., None]) -> None:
    """Raise TypeError if Numba could never find the function in its cache.

    The cache key includes the closure, and a compiled function in it differs in each process.
    """
    for cell in function.__closure__ or ():
        if isinstance(cell.cell_contents, Dispatcher):
            raise TypeError(
                f"{function.__qualname__} must call {cell.cell_contents.py_func.__name__} as a module's function"
            )


def computed(real: types.Type) -> types.Type:
    """Return the real that is computed in where `real` is stored: float32 for bfloat16."""
    return types.float32 if real == BFLOAT16 else real


def moved(real: types.Type) -> types.Type:
    """Return the type of elements that are only moved: uint16 for bfloat16."""
    return types.uint16 if real == BFLOAT16 else real


def set_threads(count: int) -> None:
    """Set the number of threads of programs. Raises ValueError for more than Numba was started with."""
    numba.set_num_threads(count)


def threads() -> int:
    """Return the number of threads of programs."""
    return int(numba.get_num_threads())


def tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """Return the `Tensor` of `array`. Raises ValueError if it is not C-contiguous."""
    if not array.flags.c_contiguous:
        raise ValueError(f"kernels take C-contiguous arrays; received strides {array.strides} for shape {array.shape}")
    return Tensor(array.ctypes.data, array.shape, array.dtype.name)


def block(names: str) -> types.Type:
    """Return the record type of a parameter block: 8-byte integers, or float64 if a name ends in `:f`."""
    kinds = [(name.removesuffix(":f"), np.float64 if name.endswith(":f") else np.int64) for name in names.split()]
    return numba.from_dtype(np.dtype(kinds))


class Function:
    """A family of compiled C functions of three integers, one per dtype, compiled from a factory on first use."""

    signature = FUNCTION

    def __init__(self, factory: Callable[..., Callable[..., None]]) -> None:
        self.factory = factory
        self.compiled: dict[tuple[Any, ...], Any] = {}
        self.__doc__ = factory.__doc__

    def address(self, dtype: str, *variant: Any) -> int:
        """Return the address of the function for `dtype`; `variant` holds further constants for the factory.

        Raises ValueError if kernels do not support computing in `dtype`.
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
    """Functions that process some units of an operation: (parameters, start, stop, thread)."""

    signature = WORKER

    def __init__(self, factory: Callable[..., Callable[..., None]], fields: types.Type) -> None:
        super().__init__(factory)
        self.dtype = numba.np.numpy_support.as_dtype(fields)

    def step(self, dtype: str, work: int | Work, *variant: Any, **fields: float) -> Step:
        """Create a step of this worker; `work` as int means one unit per chunk. `fields` must be the block's fields."""
        if fields.keys() != set(self.dtype.names):
            raise TypeError(f"{self.factory.__name__} takes {self.dtype.names}, received {tuple(fields)}")
        parameters = np.zeros(1, self.dtype)
        parameters[0] = tuple(fields[name] for name in self.dtype.names)
        return Step(self.address(dtype, *variant), parameters, work if isinstance(work, Work) else Work(work))


def worker(fields: types.Type) -> Callable[[Callable[..., Callable[..., None]]], Worker]:
    """Decorate a factory `real -> function(parameters, start, stop, thread)`; `real` is Numba's float32 or float64."""
    return lambda factory: Worker(factory, fields)


def function(factory: Callable[..., Callable[..., None]]) -> Function:
    """Decorate a factory `real -> function(a, b, c)` of functions that workers call by address."""
    return Function(factory)


@intrinsic
def pointer(typing_context, address, target):
    """Convert the integer `address` to a pointer to `target`."""
    element = target.dtype if isinstance(target, types.DTypeSpec) else target.instance_type
    kind = types.CPointer(element)

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(address, target), generate


@njit(inline="always")
def view(address, shape, dtype):
    """Return the array of `shape` (an integer or a tuple) and `dtype` at `address`."""
    return carray(pointer(address, dtype), shape)


@njit(inline="always")
def fields(address, record):
    """Return the parameter block at `address`."""
    return carray(pointer(address, record), 1)[0]


_turn = threading.Lock()
"""Numba releases the GIL in a parallel region; concurrent entry by two threads makes workqueue abort the process."""


class Program:
    """Executable steps and passes. Keeps parameter blocks alive; the caller must keep the arrays they point to alive.

    `threads` is the maximum it uses, the number its scratch was planned for: the current number may differ when it
    runs, and Numba stores one per Python thread.
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
        self.counters_at = self.counters.ctypes.data  # `ctypes.data` takes microseconds
        most = max([part.chunks for part in parts], default=1)
        self.most = max(1, most if threads is None else min(threads, most))

    def run(self, count: int | None = None) -> None:
        """Run all parts, or the first `count`, in order in one compiled call; blocks while another Python thread runs a
        program.
        """
        with _turn:
            drive(self.table, self.passes[:count], self.moves, self.counters_at, self.most)

    def up_to(self, worker: int) -> int:
        """Return the number of parts up to the last step of the worker at an address; 0 if there is none."""
        steps = np.flatnonzero(self.table[:, 0] == worker)
        return int(np.searchsorted(self.passes[:, 0], steps[-1], side="right")) if steps.size else 0

    def _parameters(self, step: Step) -> np.ndarray[Any, Any]:
        """Return thread-local copies of a step's block: int64 (threads, words), rows padded to whole cache lines."""
        words = step.parameters.view(np.int64)
        threads = numba.config.NUMBA_NUM_THREADS if self.threads is None else self.threads
        own = np.zeros((threads, (words.nbytes // LINE + 2) * LINE // words.itemsize), np.int64)
        own[:, : words.size] = words
        self.own.append(own)
        return own


def _line(step: Step, own: np.ndarray[Any, Any] | None) -> tuple[int, ...]:
    units, grain, rows, strands, *_ = step.work
    address, stride = (step.parameters.ctypes.data, 0) if own is None else (own.ctypes.data, own.strides[0])
    return step.worker, address, units, grain, strands, units // rows if rows else 0, stride


def _move(move: Moved, own: np.ndarray[Any, Any]) -> tuple[int, ...]:
    return own.ctypes.data + 8 * move.word, own.strides[0], move.start, move.stride, move.row


def run(steps: Sequence[Step | Pass]) -> None:
    """Run steps once."""
    Program(steps).run()
