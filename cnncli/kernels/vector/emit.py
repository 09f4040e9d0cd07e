"""Functions emitted directly as LLVM IR, for code that the compiler would not generate by itself.

    @emitted()
    def add_up(code, x, out, count):  # x and out are addresses; in a worker: add_up(p.x, p.out, p.count, real)
        total = Variable(code.load(out))
        with code.loop(count) as i:
            total.set(total.get() + code.load(x, i * code.lanes))
        code.store(total.get(), out)

Vectors and scalars are `Vector`s of `lanes`; addresses are integers, and indices count elements.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import Parameter, Signature, signature
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cnncli.kernels.vector.lanes import HALF, INT, LINE, WORD, Vector, bytes_of, element_of


def emitted(result: types.Type = types.void) -> Callable[[Callable[..., Vector | None]], Any]:
    """Turn `write(code, *arguments)` into a function that workers call with those arguments and `real`.

    Integers and reals are passed as scalars, tuples as lists of them; a parameter annotated with `int` is a
    compile-time constant. `result` is the type of the returned scalar.
    """

    def decorate(write: Callable[..., Vector | None]) -> Any:
        declared = list(signature(write).parameters.values())[1:]
        constant = [parameter.annotation is int for parameter in declared]
        names = ["typing_context", *(parameter.name for parameter in declared), "real"]

        def typed(typing_context: Any, *given: types.Type) -> Any:
            def generate(context: Any, builder: ir.IRBuilder, _: Any, values: Any) -> ir.Value:
                code = Code(builder, given[-1].instance_type.bitwidth // 8)
                arguments = [
                    kind.literal_value if known else wrapped(builder, value)
                    for kind, known, value in zip(given, constant, values, strict=False)
                ]
                found = write(code, *arguments)
                return context.get_dummy_value() if found is None else found.value

            kinds = [kind if known else _integers_as_words(kind) for kind, known in zip(given, constant, strict=False)]
            return result(*kinds, given[-1]), generate

        typed.__signature__ = Signature([Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names])  # type: ignore[attr-defined]
        typed.__name__ = write.__name__
        return intrinsic(prefer_literal=any(constant))(typed)

    return decorate


def wrapped(builder: ir.IRBuilder, value: ir.Value) -> Any:
    """Wrap a scalar as `Vector`, a tuple as a list of them."""
    if isinstance(value.type, ir.ArrayType | ir.LiteralStructType):
        return [wrapped(builder, item) for item in cgutils.unpack_tuple(builder, value)]
    return Vector(builder, value)


def _integers_as_words(kind: types.Type) -> types.Type:
    if isinstance(kind, types.BaseTuple):
        return types.Tuple([_integers_as_words(item) for item in kind])
    return types.intp if isinstance(kind, types.Integer) else types.unliteral(kind)


class Variable:
    """A loop-carried vector or scalar; the optimizer keeps it in registers."""

    def __init__(self, start: Vector) -> None:
        self.builder, self.place = start.builder, cgutils.alloca_once_value(start.builder, start.value)

    def get(self) -> Vector:
        """Return the value at this point of the code."""
        return Vector(self.builder, self.builder.load(self.place))

    def set(self, vector: Vector) -> None:
        """Assign a new value from this point of the code on."""
        self.builder.store(vector.value, self.place)


class Code:
    """Emits loops and memory accesses: holds a builder, the bytes of a real, and the number of lanes of vectors.

    With 2 bytes, arrays are stored as bfloat16: what is loaded becomes float32, and float32 is rounded when stored.
    Arrays of another type, tables of constants for example, are loaded by its `scalar`.
    """

    def __init__(self, builder: ir.IRBuilder, item: int, lanes: int = 0) -> None:
        self.builder, self.item = builder, item
        self.lanes = lanes or LINE // max(item, 4)
        self.scalar = ir.DoubleType() if item == 8 else ir.FloatType()

    @property
    def wide(self) -> "Code":
        """Code for arrays of the real that is computed in: float32 where arrays of reals are stored as bfloat16."""
        return Code(self.builder, max(self.item, 4), self.lanes)

    def word(self, number: int) -> Vector:
        """Return a 64-bit integer constant."""
        return Vector(self.builder, WORD(number))

    def full(self, number: Vector | float, scalar: ir.Type | None = None) -> Vector:
        """Broadcast a number to a vector; `scalar` is the element type of a constant."""
        if isinstance(number, Vector):
            return number.spread(self.lanes)
        kind = ir.VectorType(scalar or self.scalar, self.lanes)
        return Vector(self.builder, ir.Constant(kind, [number] * self.lanes))

    def zeros(self) -> Vector:
        """Return the address of a vector of zeros."""
        kind = ir.VectorType(self.scalar, self.lanes)
        array = cgutils.global_constant(self.builder, "zeros", ir.Constant(kind, None))
        array.align = LINE
        return Vector(self.builder, self.builder.ptrtoint(array, WORD))

    @contextmanager
    def loop(self, count: Vector) -> Iterator[Vector]:
        """Emit a loop over 0 … count - 1 around the code in this context; yields the index."""
        with cgutils.for_range(self.builder, count.value, intp=WORD) as loop:
            yield Vector(self.builder, loop.index)

    @contextmanager
    def steps(self, start: Vector, stop: Vector, step: Vector) -> Iterator[Vector]:
        """Emit a loop over start, start + step, … below `stop` around the code in this context; yields the index."""
        with cgutils.for_range_slice(self.builder, start.value, stop.value, step.value, WORD) as (index, _):
            yield Vector(self.builder, index)

    def choose(self, number: Vector, cases: Mapping[int, Callable[[], None]], otherwise: Callable[[], None]) -> None:
        """Emit a switch on `number`; each case emits its own code."""
        if not cases:
            otherwise()
            return
        (first, write), *others = cases.items()
        with self.builder.if_else(number.same(first).value) as (then, rest):
            with then:
                write()
            with rest:
                self.choose(number, dict(others), otherwise)

    def sweep(self, start: Vector, stop: Vector, body: Callable[[Vector, Vector | None], None]) -> None:
        """Emit `body(index, mask)` for each vector from element `start` to `stop`; only the last one has a mask."""
        builder, end = self.builder, start + ((stop - start) & -self.lanes)
        with cgutils.for_range_slice(builder, start.value, end.value, WORD(self.lanes), WORD) as (index, _):
            body(Vector(builder, index), None)
        with builder.if_then((end < stop).value):
            body(end, self.first(stop - end))

    def first(self, count: Vector) -> Vector:
        """Return a mask of the first `count` lanes; empty if it is not positive."""
        order = Vector(self.builder, ir.Constant(ir.VectorType(INT, self.lanes), list(range(self.lanes))))
        return order < self.full(count.narrowed(INT))

    def number(self, address: Vector, index: Vector | int = 0, scalar: ir.Type | None = None) -> Vector:
        """Load element `index` of the array at `address`."""
        place, item = self._place(address, index, scalar or self._stored)
        return self._widened(Vector(self.builder, self.builder.load(place, align=item)), scalar)

    def load(
        self,
        address: Vector,
        index: Vector | int = 0,
        mask: Vector | None = None,
        otherwise: float = 0.0,
        scalar: ir.Type | None = None,
    ) -> Vector:
        """Load the vector at element `index` of the array at `address`; `otherwise` in lanes not in the mask."""
        kind = ir.VectorType(scalar or self._stored, self.lanes)
        place, item = self._place(address, index, kind)
        if mask is None:
            return self._widened(Vector(self.builder, self.builder.load(place, align=item)), scalar)
        narrow = kind.element == HALF
        fill = self.full(0 if narrow else otherwise, kind.element)
        signature = ir.FunctionType(kind, [kind.as_pointer(), INT, mask.value.type, kind])
        load = self._intrinsic(f"llvm.masked.load.{fill.name}.p0", signature)
        found = Vector(self.builder, self.builder.call(load, [place, INT(item), mask.value, fill.value]))
        return found.from_bfloat16().where(mask, otherwise) if narrow else found

    def store(self, vector: Vector, address: Vector, index: Vector | int = 0, mask: Vector | None = None) -> None:
        """Store a vector or scalar at element `index`; lanes not in the mask are not written."""
        if self.item == 2 and element_of(vector.value.type) == ir.FloatType():
            vector = vector.bfloat16()
        kind = vector.value.type
        place, item = self._place(address, index, kind)
        if mask is None:
            self.builder.store(vector.value, place, align=item)
            return
        signature = ir.FunctionType(ir.VoidType(), [kind, kind.as_pointer(), INT, mask.value.type])
        store = self._intrinsic(f"llvm.masked.store.{vector.name}.p0", signature)
        self.builder.call(store, [vector.value, place, INT(item), mask.value])

    def fetch(self, address: Vector) -> None:
        """Begin to load the cache line at `address` for stores to it; the address need not be valid."""
        pointer = ir.IntType(8).as_pointer()
        prefetch = self._intrinsic("llvm.prefetch.p0", ir.FunctionType(ir.VoidType(), [pointer, INT, INT, INT]))
        self.builder.call(prefetch, [self.builder.inttoptr(address.value, pointer), INT(1), INT(3), INT(1)])

    @property
    def _stored(self) -> ir.Type:
        """The type of an element of an array of reals."""
        return HALF if self.item == 2 else self.scalar

    def _widened(self, found: Vector, scalar: ir.Type | None) -> Vector:
        """Return what was loaded, as float32 if it is an array of reals stored as bfloat16."""
        return found.from_bfloat16() if self.item == 2 and scalar is None else found

    def _place(self, address: Vector, index: Vector | int, kind: ir.Type) -> tuple[ir.Value, int]:
        """Return a pointer to element `index`, and the bytes of an element."""
        item = bytes_of(kind)
        if isinstance(index, Vector) or index:
            address = address + index * item
        return self.builder.inttoptr(address.value, kind.as_pointer()), item

    def _intrinsic(self, name: str, signature: ir.FunctionType) -> ir.Function:
        return cgutils.get_or_insert_function(self.builder.module, signature, name)
