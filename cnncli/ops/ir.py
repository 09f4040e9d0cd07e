"""The intermediate representation: values, operations on them, and the tape that records the calls.

A `Value` is a symbolic array with a shape but no memory. An `Op` holds the constants of an operation and defines its
outputs (`infer`), its cost (`flops`), its derivative as further calls (`gradient`), and the kernel's steps once buffers
are assigned (`steps`). A `Call` is one use of an op.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.ops.reach import SAME, Reaches

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor

Shape = tuple[int, ...]
"""Excludes the batch axis of batched values: an image is (height, width, channels)."""


@dataclass(frozen=True, eq=False)
class Value:
    """One array of a program, compared by identity.

    `dtype` is the storage dtype; it determines buffers, memory layout and the kernels' views.
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
        """The size of its storage in bytes, of one sample if batched. Raises ValueError for an unknown dtype."""
        return self.size * bytes_of(self.dtype)

    def like(self, shape: Shape | None = None, *, batched: bool | None = None, dtype: str | None = None) -> Value:
        """Return a new value; attributes that are not given are copied from this one."""
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
        """The primary output; further outputs are saved for the derivative."""
        return self.outputs[0]

    @property
    def flops(self) -> int:
        """Floating-point operations for one sample."""
        return self.op.flops(self)


class Folding(NamedTuple):
    """How to fold an operation into the preceding product: `op` maps (kernel, further inputs[, bias]) → (kernel, bias).

    The further inputs are the operation's inputs after the first; `activation` becomes the product's.
    """

    op: Op
    activation: str


@dataclass(frozen=True)
class Op:
    """One kind of operation; the fields are its constants."""

    is_root: ClassVar[bool] = False
    """True for a term of the objective: its gradient takes no incoming gradient."""
    is_view: ClassVar[bool] = False
    """True if the output shares the input's memory, with another shape."""
    as_whole: ClassVar[bool] = False
    """True if its kernels need the whole batch; otherwise each row of the output depends on the same input row only."""
    keeps_scale: ClassVar[bool] = False
    """True if output elements are input elements, zeros, or means of these: the value range of pixels is preserved."""
    overwrites: ClassVar[int | None] = None
    """Index of the input the output may overwrite (in-place), if that input has no later use."""
    takes_bfloat16: ClassVar[bool] = False
    """True if its kernels take bfloat16 for all shapes (see `narrow`)."""
    widens: ClassVar[bool] = False
    """True if its kernels that read bfloat16 also write float32 (see `narrow`)."""
    reads_exactly: ClassVar[bool] = False
    """True if what it reads is not rounded to bfloat16: it stays float32."""
    inner_axes: ClassVar[int | None] = None
    """For a product (x, kernel[, bias]): the number of kernel axes after the filter axis."""

    @property
    def title(self) -> str:
        """The display name of the operation."""
        return type(self).__name__

    @property
    def as_activation(self) -> str | None:
        """Its text in `activation_names` if the operation is just an activation; otherwise None."""
        return None

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        """Return the outputs for `inputs`. Raises ShapeError if their shapes are invalid."""
        raise NotImplementedError

    def flops(self, call: Call) -> int:
        """Return the floating-point operations for one sample; a multiply-add counts as two."""
        return 0

    def reads(self, x: Value, output: Value) -> Reaches | None:
        """Return which cells of image x each cell of the output image reads; None for all of them.

        By default, and where images keep their size, each reads the cell at its place.
        """
        same = len(x.shape) >= 3 and len(output.shape) >= 3 and x.shape[:2] == output.shape[:2]
        return (SAME, SAME) if same else None

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        """Return the gradient with respect to each input, given that of the output (None for a root).

        Gradients that are not `needed` may be None.
        """
        raise NotImplementedError

    def narrow(self, call: Call) -> bool:
        """Whether its kernels also take bfloat16: for all batched real inputs and outputs; all others stay float32."""
        return self.takes_bfloat16

    def with_activation(self, kind: str, *, derivable: bool) -> Op | None:
        """Return this operation with a fused activation; None if it is not supported.

        `derivable`: the operation will be differentiated, and saves what that needs besides its inputs and its output.
        """
        return None

    def with_summand(self) -> Op | None:
        """Return this operation with a further, last input that is added to its output, for inference.

        None if it is not supported.
        """
        return None

    def folding(self, inner: int) -> Folding | None:
        """Return how to fold this operation into the preceding product, for inference; None if not supported.

        Each run of `inner` consecutive kernel elements belongs to one filter.
        """
        return None

    def remade(self, call: Call) -> tuple[Op, tuple[Value, ...]] | None:
        """Return an operation and its inputs, saved anyway, that recompute the output of `call`.

        None if recomputing is not cheaper than storing the output.
        """
        return None

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        """Return the kernel's steps; the tensors of batched values have the batch axis first."""
        raise NotImplementedError


@dataclass
class Tape:
    """Calls in program order: producers come before their uses."""

    calls: list[Call] = field(default_factory=list)
    owner: str = ""

    def emit(self, op: Op, *inputs: Value) -> Value:
        """Append a call and return its output."""
        return self.emit_all(op, *inputs)[0]

    def emit_all(self, op: Op, *inputs: Value) -> tuple[Value, ...]:
        """Append a call and return all its outputs."""
        call = Call(op, inputs, op.infer(*inputs), self.owner)
        self.calls.append(call)
        return call.outputs

    @contextmanager
    def owned_by(self, owner: str) -> Iterator[None]:
        """Set the owner of calls emitted in this context to the layer `owner`."""
        before, self.owner = self.owner, owner
        try:
            yield
        finally:
            self.owner = before
