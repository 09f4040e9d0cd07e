"""The intermediate representation: values, operations on them, and the tape that records the calls.

A `Value` is an array that will exist when the program runs; it has a shape, but no memory. An `Op` holds the constants
of an operation and says four things of it: the values it makes (`infer`), its work (`flops`), its derivative as further
calls (`gradient`), and its kernel's steps once every value has its place (`steps`). A `Call` is one use of an op.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from cnncli.kernels.jit.dtypes import bytes_of

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor

Shape = tuple[int, ...]
"""Without the batch axis for batched values: an image is (height, width, channels)."""


@dataclass(frozen=True, eq=False)
class Value:
    """One array of a program. Compared by identity: two values are never the same by accident.

    `dtype` is that of its storage: buffers, layout and the kernels' views follow it.
    """

    shape: Shape
    batched: bool = True
    dtype: str = "float32"
    label: str = ""

    @property
    def size(self) -> int:
        """The number of elements, of one sample if batched."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """The size of its storage, of one sample if batched. Raises ValueError for an unknown dtype."""
        return self.size * bytes_of(self.dtype)

    def like(self, shape: Shape | None = None, *, batched: bool | None = None, dtype: str | None = None) -> Value:
        """A new value that is as this one in all that is not given."""
        return Value(
            self.shape if shape is None else shape,
            self.batched if batched is None else batched,
            self.dtype if dtype is None else dtype,
        )


@dataclass(frozen=True, eq=False)
class Call:
    """One operation of a program: `outputs = op(*inputs)`. `owner` names the layer it was lowered from."""

    op: Op
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    owner: str = ""

    @property
    def output(self) -> Value:
        """The result proper; further outputs are what the derivative needs."""
        return self.outputs[0]

    @property
    def flops(self) -> int:
        """Floating-point operations for one sample."""
        return self.op.flops(self)


class Folding(NamedTuple):
    """How an operation goes into the product before it: `op` makes (kernel, further inputs[, bias]) → (kernel, bias).

    The further inputs are those of the operation behind its first one; `activation` is then the product's.
    """

    op: Op
    activation: str


@dataclass(frozen=True)
class Op:
    """One kind of operation; the fields are its constants."""

    is_root: ClassVar[bool] = False
    """True for a term of the objective: its gradient starts here, with nothing coming in."""
    is_view: ClassVar[bool] = False
    """True if the output is the input's memory under another shape."""
    as_whole: ClassVar[bool] = False
    """True where its kernels take the whole batch; those of others do row by row what follows from the same row."""
    keeps_scale: ClassVar[bool] = False
    """True if its outputs are numbers of the inputs, zeros, or means of such: pixels stay on the scale of pixels."""
    overwrites: ClassVar[int | None] = None
    """The input whose memory the output may take, where nobody reads that input afterwards."""
    inner_axes: ClassVar[int | None] = None
    """Of a product (x, kernel[, bias]): how many of the kernel's axes lie behind those that count the filters."""

    @property
    def title(self) -> str:
        """What the operation is called where people look."""
        return type(self).__name__

    @property
    def as_activation(self) -> str | None:
        """The activation that it is and nothing else, by its text in `activation_names`; None for other operations."""
        return None

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        """The values this op makes of `inputs`; raises ShapeError where they do not fit."""
        raise NotImplementedError

    def flops(self, call: Call) -> int:
        """Floating-point operations for one sample; a multiply-add counts two."""
        return 0

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        """The gradient with respect to each input, given that of the output (None for a root).

        `needed` says which are wanted; the others may be None.
        """
        raise NotImplementedError

    def with_activation(self, kind: str, *, derivable: bool) -> Op | None:
        """This operation with an activation behind it; None where it takes none.

        `derivable`: the derivative is wanted, and what the activation is given must not be kept for it.
        """
        return None

    def folding(self, inner: int) -> Folding | None:
        """What folds it into a product before it, in runs that train nothing; None where it can't be.

        `inner` of the kernel's numbers in a row belong to one filter, the next ones to the next.
        """
        return None

    def remade(self, call: Call) -> tuple[Op, tuple[Value, ...]] | None:
        """What makes the output of `call` once more from values that are kept anyhow: an operation and its inputs.

        None where that would not be cheaper than to keep the output.
        """
        return None

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        """The kernel's steps on placed arrays; batched ones have their batch axis first."""
        raise NotImplementedError


@dataclass
class Tape:
    """Calls in program order, each after the calls it reads from."""

    calls: list[Call] = field(default_factory=list)
    owner: str = ""

    def emit(self, op: Op, *inputs: Value) -> Value:
        """Append a call and return its output."""
        return self.emit_all(op, *inputs)[0]

    def emit_all(self, op: Op, *inputs: Value) -> tuple[Value, ...]:
        """Append a call and return all it makes."""
        call = Call(op, inputs, op.infer(*inputs), self.owner)
        self.calls.append(call)
        return call.outputs

    @contextmanager
    def owned_by(self, owner: str) -> Iterator[None]:
        """Calls emitted inside belong to the layer `owner`."""
        before, self.owner = self.owner, owner
        try:
            yield
        finally:
            self.owner = before
