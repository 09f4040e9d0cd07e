"""An embedded language of vector values: formulas over whole vectors, emitted as LLVM IR.

A formula is a Python function of `Vector`s, run once while a worker is compiled: its operators emit instructions. The
code is therefore vectorized without relying on LLVM's loop vectorizer, and needs no type inference. LLVM splits vectors
that are wider than the machine's; results are identical. `sweeps` builds loops over arrays from formulas, `emit` any
other code.
"""

from collections.abc import Callable
from typing import TypeAlias

from llvmlite import ir
from numba.core import cgutils

from cnncli.kernels.jit.target import machine, multiply_add

WORD, INT, HALF, BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(16), ir.IntType(8)
LINE = 64
"""Bytes of a cache line: the vector length of most loops, independent of the machine's vector width."""
Operand: TypeAlias = "Vector | float"


class BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat, which llvmlite lacks."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BFloat)

    def __hash__(self) -> int:
        return hash(BFloat)


def element_of(kind: ir.Type) -> ir.Type:
    """Return the element type of a vector, or the type of a scalar."""
    return kind.element if isinstance(kind, ir.VectorType) else kind


def bytes_of(kind: ir.Type) -> int:
    """Return the bytes of an element."""
    element = element_of(kind)
    return int(element.width) // 8 if isinstance(element, ir.IntType) else 8 if element == ir.DoubleType() else 4


class Vector:
    """A run-time vector, or scalar, of reals, integers or booleans.

    Python numbers in operations with it are broadcast.
    """

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder, self.value = builder, value

    @property
    def item(self) -> int:
        """Bytes of a real or an integer."""
        return bytes_of(self.value.type)

    @property
    def name(self) -> str:
        """LLVM's name of its type: v16f32."""
        return f"v{self.lanes}{'i' if self._integer else 'f'}{8 * self.item}"

    @property
    def lanes(self) -> int:
        """The number of elements."""
        return int(self.value.type.count)

    def full(self, number: Operand) -> "Vector":
        """Broadcast `number` to this type; a vector is returned unchanged."""
        if isinstance(number, Vector):
            return number
        kind = self.value.type
        content = [number] * self.lanes if isinstance(kind, ir.VectorType) else number
        return Vector(self.builder, ir.Constant(kind, content))

    def spread(self, lanes: int) -> "Vector":
        """Broadcast a scalar to `lanes` lanes."""
        nothing = ir.Constant(ir.VectorType(self.value.type, lanes), ir.Undefined)
        one = self.builder.insert_element(nothing, self.value, INT(0))
        everywhere = ir.Constant(ir.VectorType(INT, lanes), [0] * lanes)
        return Vector(self.builder, self.builder.shuffle_vector(one, nothing, everywhere))

    def _make(self, instruction: str, *operands: Operand) -> "Vector":
        return Vector(self.builder, getattr(self.builder, instruction)(*(self.full(o).value for o in operands)))

    def _compare(self, operator: str, other: Operand) -> "Vector":
        compare = self.builder.icmp_signed if self._integer else self.builder.fcmp_ordered
        return Vector(self.builder, compare(operator, self.value, self.full(other).value))

    @property
    def _integer(self) -> bool:
        return isinstance(element_of(self.value.type), ir.IntType)

    def __add__(self, other: Operand) -> "Vector":
        return self._make("add" if self._integer else "fadd", self, other)

    def __sub__(self, other: Operand) -> "Vector":
        return self._make("sub" if self._integer else "fsub", self, other)

    def __rsub__(self, other: Operand) -> "Vector":
        return self.full(other) - self

    def __neg__(self) -> "Vector":
        return self.full(0) - self if self._integer else Vector(self.builder, self.builder.fneg(self.value))

    def __mul__(self, other: Operand) -> "Vector":
        return self._make("mul" if self._integer else "fmul", self, other)

    def __truediv__(self, other: Operand) -> "Vector":
        return self._make("fdiv", self, other)

    def __rtruediv__(self, other: Operand) -> "Vector":
        return self.full(other) / self

    def __floordiv__(self, other: Operand) -> "Vector":
        """For non-negative integers."""
        return self._make("sdiv", self, other)

    def __mod__(self, other: Operand) -> "Vector":
        """For non-negative integers."""
        return self._make("srem", self, other)

    def __and__(self, other: Operand) -> "Vector":
        return self._make("and_", self, other)

    def __or__(self, other: Operand) -> "Vector":
        return self._make("or_", self, other)

    def __xor__(self, other: Operand) -> "Vector":
        return self._make("xor", self, other)

    def __lshift__(self, places: Operand) -> "Vector":
        return self._make("shl", self, places)

    def __rshift__(self, places: int) -> "Vector":
        """Arithmetic shift of signed integers."""
        return self._make("ashr", self, places)

    def high(self, places: Operand) -> "Vector":
        """Logical shift right by `places`."""
        return self._make("lshr", self, places)

    def beside(self, other: "Vector", group: int) -> "Vector":
        """Interleave groups of `group` elements of both vectors: a vector of twice the length."""
        pairs = [(side * self.lanes, k) for k in range(0, self.lanes, group) for side in (0, 1)]
        order = [side + k + j for side, k in pairs for j in range(group)]
        places = ir.Constant(ir.VectorType(INT, len(order)), order)
        return Vector(self.builder, self.builder.shuffle_vector(self.value, other.value, places))

    def __lt__(self, other: Operand) -> "Vector":
        return self._compare("<", other)

    def __le__(self, other: Operand) -> "Vector":
        return self._compare("<=", other)

    def __gt__(self, other: Operand) -> "Vector":
        return self._compare(">", other)

    def __ge__(self, other: Operand) -> "Vector":
        return self._compare(">=", other)

    def same(self, other: Operand) -> "Vector":
        """Elementwise equality; false for NaN."""
        return self._compare("==", other)

    def number(self) -> "Vector":
        """True for elements that are not NaN."""
        return Vector(self.builder, self.builder.fcmp_ordered("ord", self.value, self.value))

    def more(self, other: "Vector") -> "Vector":
        """True for elements that are greater, or if either operand is NaN."""
        return Vector(self.builder, self.builder.fcmp_unordered(">", self.value, other.value))

    def opaque(self) -> "Vector":
        """The same integer, of which the optimizer does not know how it was computed.

        It replaces additions by many loop-carried values, more than there are registers.
        """
        kind = ir.FunctionType(self.value.type, [self.value.type])
        return Vector(self.builder, self.builder.asm(kind, "", "=r,0", [self.value], side_effect=False))

    def outside(self, count: "Vector") -> "Vector":
        """True for integers that are not in 0 … count − 1."""
        return Vector(self.builder, self.builder.icmp_unsigned(">=", self.value, count.value))

    def where(self, condition: "Vector", otherwise: Operand) -> "Vector":
        """Select its own elements where `condition` holds, otherwise those of `otherwise`."""
        other = self.full(otherwise)
        return Vector(self.builder, self.builder.select(condition.value, self.value, other.value))

    def fma(self, factor: Operand, addend: Operand) -> "Vector":
        """self · factor + addend; with one rounding if the machine has fused multiply-adds."""
        factor, addend = self.full(factor), self.full(addend)
        return Vector(self.builder, multiply_add(self.builder, self.value, factor.value, addend.value))

    def sqrt(self) -> "Vector":
        """The correctly rounded square root."""
        kind = self.value.type
        signature = ir.FunctionType(kind, [kind])
        function = cgutils.get_or_insert_function(self.builder.module, signature, f"llvm.sqrt.{self.name}")
        return Vector(self.builder, self.builder.call(function, [self.value]))

    def bits(self) -> "Vector":
        """Bitcast reals to integers of the same size."""
        kind = ir.VectorType(ir.IntType(8 * self.item), self.lanes)
        return Vector(self.builder, self.builder.bitcast(self.value, kind))

    def real(self) -> "Vector":
        """Bitcast integers to reals of the same size."""
        kind = ir.VectorType(ir.FloatType() if self.item == 4 else ir.DoubleType(), self.lanes)
        return Vector(self.builder, self.builder.bitcast(self.value, kind))

    def double(self) -> "Vector":
        """Convert to float64."""
        kind = ir.VectorType(ir.DoubleType(), self.lanes)
        return self if self.item == 8 else Vector(self.builder, self.builder.fpext(self.value, kind))

    def rounded(self, item: int) -> "Vector":
        """Convert from float64 to the real of `item` bytes; float32 if bfloat16 is stored."""
        kind = ir.VectorType(ir.FloatType(), self.lanes)
        return self if item == 8 else Vector(self.builder, self.builder.fptrunc(self.value, kind))

    def from_bfloat16(self) -> "Vector":
        """Convert bfloat16, as 16-bit integers, to float32: exact."""
        bits = self.widened(INT) << 16
        return Vector(self.builder, self.builder.bitcast(bits.value, self._of(ir.FloatType())))

    def bfloat16(self) -> "Vector":
        """Round float32 to the nearest bfloat16, as 16-bit integers; ties to even.

        Denormal numbers become 0 and NaN stays NaN, as the processors' own instruction has it: the bits are the same
        with and without it.
        """
        count = self.lanes if isinstance(self.value.type, ir.VectorType) else 1
        if "+avx512bf16" in machine().features.split(",") and count % 16 == 0:
            return self._by_instruction()
        bits = Vector(self.builder, self.builder.bitcast(self.value, self._of(INT)))
        top = bits.high(16)
        rounded = (bits + (top & 1) + 0x7FFF).high(16)
        rounded = rounded.where((bits & 0x7FFFFFFF) <= 0x7F800000, top | 0x40)
        return rounded.where((bits & 0x7F800000) > 0, top & 0x8000).narrowed(HALF)

    def _by_instruction(self) -> "Vector":
        """As `bfloat16`, 16 lanes at a time."""
        kind, half = ir.VectorType(ir.FloatType(), 16), ir.VectorType(BFloat(), 16)
        signature, name = ir.FunctionType(half, [kind]), "llvm.x86.avx512bf16.cvtneps2bf16.512"
        convert = cgutils.get_or_insert_function(self.builder.module, signature, name)
        parts = []
        for first in range(0, self.lanes, 16):
            order = ir.Constant(ir.VectorType(INT, 16), list(range(first, first + 16)))
            part = self.builder.shuffle_vector(self.value, self.value, order)
            found = self.builder.call(convert, [part])
            parts.append(Vector(self.builder, self.builder.bitcast(found, ir.VectorType(HALF, 16))))
        while len(parts) > 1:
            parts = [a.beside(b, a.lanes) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    def widened(self, integer: ir.IntType) -> "Vector":
        """Zero-extend to a wider integer type."""
        return Vector(self.builder, self.builder.zext(self.value, self._of(integer)))

    def narrowed(self, integer: ir.IntType) -> "Vector":
        """Truncate to a narrower integer type."""
        return Vector(self.builder, self.builder.trunc(self.value, self._of(integer)))

    def _of(self, element: ir.Type) -> ir.Type:
        kind = self.value.type
        return ir.VectorType(element, kind.count) if isinstance(kind, ir.VectorType) else element

    def magnitude(self) -> "Vector":
        """|x|."""
        return (self.bits() & ((1 << 8 * self.item - 1) - 1)).real()

    def sign(self) -> "Vector":
        """The sign bits, as integers."""
        return self.bits() & -(1 << 8 * self.item - 1)

    def folded(self, join: Callable[["Vector", "Vector"], "Vector"]) -> ir.Value:
        """Reduce to a scalar by joining halves until one lane is left; the order does not depend on the hardware."""
        vector = self
        while vector.lanes > 1:
            half = vector.lanes // 2
            parts = []
            for first in (0, half):
                order = ir.Constant(ir.VectorType(INT, half), list(range(first, first + half)))
                parts.append(Vector(self.builder, self.builder.shuffle_vector(vector.value, vector.value, order)))
            vector = join(*parts)
        return self.builder.extract_element(vector.value, INT(0))

    def sum(self) -> ir.Value:
        """The sum of all lanes, added by halves."""
        return self.folded(lambda a, b: a + b)


def larger(a: Vector, b: Vector) -> Vector:
    """Elementwise maximum."""
    return a.where(a > b, b)


def smaller(a: Vector, b: Vector) -> Vector:
    """Elementwise minimum."""
    return a.where(a < b, b)
