"""Vectors as values of a small language: formulas over whole vectors, written out as LLVM code.

A formula is a Python function of `Vector`s, run once while a worker is compiled: its operators put instructions into
the code. So it is vector code whatever LLVM makes of a loop, and there is no type inference to pay for. LLVM splits
vectors that are wider than the machine's, and the bits stay the same. `sweeps` makes loops over arrays of formulas.
"""

from collections.abc import Callable
from typing import TypeAlias

from llvmlite import ir
from numba.core import cgutils

from cnncli.kernels.target import multiply_add

INDEX = ir.IntType(32)
Operand: TypeAlias = "Vector | float"


class Vector:
    """A vector of reals, integers or truth values. Numbers in its company stand for a vector full of them."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder, self.value = builder, value

    @property
    def item(self) -> int:
        """Bytes of a real or an integer."""
        element = self.value.type.element
        return element.width // 8 if isinstance(element, ir.IntType) else 8 if element == ir.DoubleType() else 4

    @property
    def lanes(self) -> int:
        """How many elements it has."""
        return int(self.value.type.count)

    def full(self, number: Operand) -> "Vector":
        """A vector of this type full of `number`; a vector stays as it is."""
        if isinstance(number, Vector):
            return number
        return Vector(self.builder, ir.Constant(self.value.type, [number] * self.lanes))

    def _make(self, instruction: str, *operands: Operand) -> "Vector":
        return Vector(self.builder, getattr(self.builder, instruction)(*(self.full(o).value for o in operands)))

    def _compare(self, operator: str, other: Operand) -> "Vector":
        compare = self.builder.icmp_signed if self._integer else self.builder.fcmp_ordered
        return Vector(self.builder, compare(operator, self.value, self.full(other).value))

    @property
    def _integer(self) -> bool:
        return isinstance(self.value.type.element, ir.IntType)

    def __add__(self, other: Operand) -> "Vector":
        return self._make("add" if self._integer else "fadd", self, other)

    def __sub__(self, other: Operand) -> "Vector":
        return self._make("sub" if self._integer else "fsub", self, other)

    def __rsub__(self, other: Operand) -> "Vector":
        return self.full(other) - self

    def __mul__(self, other: Operand) -> "Vector":
        return self._make("mul" if self._integer else "fmul", self, other)

    def __truediv__(self, other: Operand) -> "Vector":
        return self._make("fdiv", self, other)

    def __rtruediv__(self, other: Operand) -> "Vector":
        return self.full(other) / self

    def __and__(self, other: Operand) -> "Vector":
        return self._make("and_", self, other)

    def __or__(self, other: Operand) -> "Vector":
        return self._make("or_", self, other)

    def __xor__(self, other: Operand) -> "Vector":
        return self._make("xor", self, other)

    def __lshift__(self, places: int) -> "Vector":
        return self._make("shl", self, places)

    def __rshift__(self, places: int) -> "Vector":
        """Of a signed integer: the sign moves in."""
        return self._make("ashr", self, places)

    def high(self, places: int) -> "Vector":
        """Shifted right by `places`; zeros move in."""
        return self._make("lshr", self, places)

    def beside(self, other: "Vector", group: int) -> "Vector":
        """`group` of its own elements, as many of the other's, and so on: a vector of twice the length."""
        pairs = [(side * self.lanes, k) for k in range(0, self.lanes, group) for side in (0, 1)]
        order = [side + k + j for side, k in pairs for j in range(group)]
        places = ir.Constant(ir.VectorType(INDEX, len(order)), order)
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
        """Where both are equal numbers; NaN is not."""
        return self._compare("==", other)

    def number(self) -> "Vector":
        """Where it is not NaN."""
        return Vector(self.builder, self.builder.fcmp_ordered("ord", self.value, self.value))

    def more(self, other: "Vector") -> "Vector":
        """Where it is greater, or one of the two is NaN."""
        return Vector(self.builder, self.builder.fcmp_unordered(">", self.value, other.value))

    def where(self, condition: "Vector", otherwise: Operand) -> "Vector":
        """Its own elements where `condition` holds, else those of `otherwise`."""
        other = self.full(otherwise)
        return Vector(self.builder, self.builder.select(condition.value, self.value, other.value))

    def fma(self, factor: Operand, addend: Operand) -> "Vector":
        """self · factor + addend; with one rounding where the machine has fused multiply-adds."""
        factor, addend = self.full(factor), self.full(addend)
        return Vector(self.builder, multiply_add(self.builder, self.value, factor.value, addend.value))

    def sqrt(self) -> "Vector":
        """The square root, rounded correctly."""
        kind = self.value.type
        name = f"llvm.sqrt.v{self.lanes}f{8 * self.item}"
        function = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(kind, [kind]), name)
        return Vector(self.builder, self.builder.call(function, [self.value]))

    def bits(self) -> "Vector":
        """The bits of reals as integers of their size."""
        kind = ir.VectorType(ir.IntType(8 * self.item), self.lanes)
        return Vector(self.builder, self.builder.bitcast(self.value, kind))

    def real(self) -> "Vector":
        """The reals that these integers are the bits of."""
        kind = ir.VectorType(ir.FloatType() if self.item == 4 else ir.DoubleType(), self.lanes)
        return Vector(self.builder, self.builder.bitcast(self.value, kind))

    def double(self) -> "Vector":
        """As float64."""
        kind = ir.VectorType(ir.DoubleType(), self.lanes)
        return self if self.item == 8 else Vector(self.builder, self.builder.fpext(self.value, kind))

    def rounded(self, item: int) -> "Vector":
        """As the real of `item` bytes; from float64."""
        kind = ir.VectorType(ir.FloatType(), self.lanes)
        return self if item == 8 else Vector(self.builder, self.builder.fptrunc(self.value, kind))

    def magnitude(self) -> "Vector":
        """|x|."""
        return (self.bits() & ((1 << 8 * self.item - 1) - 1)).real()

    def sign(self) -> "Vector":
        """The sign bits, as integers."""
        return self.bits() & -(1 << 8 * self.item - 1)

    def folded(self, join: Callable[["Vector", "Vector"], "Vector"]) -> ir.Value:
        """One number: halves joined until one lane is left; the order does not depend on the hardware."""
        vector = self
        while vector.lanes > 1:
            half = vector.lanes // 2
            parts = []
            for first in (0, half):
                order = ir.Constant(ir.VectorType(INDEX, half), list(range(first, first + half)))
                parts.append(Vector(self.builder, self.builder.shuffle_vector(vector.value, vector.value, order)))
            vector = join(*parts)
        return self.builder.extract_element(vector.value, INDEX(0))

    def sum(self) -> ir.Value:
        """All lanes added, halves first."""
        return self.folded(lambda a, b: a + b)


def larger(a: Vector, b: Vector) -> Vector:
    """The larger of each two."""
    return a.where(a > b, b)
