"""Elementwise operations, and operations along the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cnncli import kernels
from cnncli.kernels.elementwise.activation_names import of_input
from cnncli.ops.ir import Call, Op, Tape, Value

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class Elementwise(Op):
    """The output has the first input's shape and can be computed in-place."""

    overwrites: ClassVar[int | None] = 0
    takes_bfloat16: ClassVar[bool] = True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(),)

    def flops(self, call: Call) -> int:
        return call.output.size


@dataclass(frozen=True)
class Activation(Elementwise):
    """y = f(x). `kind` is a text as in `activation_names`: "relu", "leaky_relu(0.3)"."""

    kind: str

    @property
    def as_activation(self) -> str:
        return self.kind

    @property
    def of_input(self) -> bool:
        """Whether its derivative is computed from x rather than y."""
        return of_input(self.kind)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        saved = call.inputs[0] if self.of_input else call.output
        return (before_activation(tape, self.kind, grad, saved),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.activations.forward(self.kind, inputs[0], outputs[0])


@dataclass(frozen=True)
class ActivationGrad(Elementwise):
    """(grad, y) → grad·f′, with f′ computed from the activation's output y; (grad, x) if `Activation.of_input`."""

    kind: str

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.activations.backward(self.kind, inputs[1], inputs[0], outputs[0])


@dataclass(frozen=True)
class Activated(Op):
    """An operation with an optional fused activation."""

    activation: str = field(default="linear", kw_only=True)

    @property
    def title(self) -> str:
        return titled(super().title, self.activation)

    def with_activation(self, kind: str, *, derivable: bool) -> Self | None:
        return replace(self, activation=kind) if self.activation == "linear" else None


def titled(name: str, activation: str) -> str:
    """Return the display name of an operation with a fused activation."""
    return name if activation == "linear" else f"{name} + {activation}"


def before_activation(tape: Tape, kind: str, grad: Value, saved: Value) -> Value:
    """Return the gradient of the input of activation `kind` ("linear" for none); `saved` as in ActivationGrad."""
    return grad if kind == "linear" else tape.emit(ActivationGrad(kind), grad, saved)


@dataclass(frozen=True)
class Rsqrt(Elementwise):
    """1/√(x + epsilon)."""

    epsilon: float = 0.0

    def flops(self, call: Call) -> int:
        return 3 * call.output.size

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return (tape.emit(RsqrtGrad(), grad, call.output),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.arithmetic.apply("rsqrt", inputs, outputs[0], offset=self.epsilon)


@dataclass(frozen=True)
class RsqrtGrad(Elementwise):
    """(grad, y) → −grad·y³/2, y being the output of Rsqrt."""

    def flops(self, call: Call) -> int:
        return 4 * call.output.size

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.arithmetic.apply("gradient of rsqrt", inputs, outputs[0])


@dataclass(frozen=True)
class Softmax(Elementwise):
    """exp(x)/Σexp(x) along the last axis, or another of its kind: "log_softmax", "sparsemax"."""

    as_whole: ClassVar[bool] = True
    takes_bfloat16: ClassVar[bool] = False
    reads_exactly: ClassVar[bool] = True

    kind: str = "softmax"

    @property
    def title(self) -> str:
        return {"log_softmax": "LogSoftmax", "sparsemax": "Sparsemax"}.get(self.kind, super().title)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return (tape.emit(SoftmaxGrad(self.kind), grad, call.output),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        module: Any = getattr(kernels, self.kind)
        steps: list[Step] = module.forward(inputs[0], outputs[0])
        return steps


@dataclass(frozen=True)
class SoftmaxGrad(Elementwise):
    """(grad, y) → y·(grad − Σ grad·y), y being softmax's output; or the same of another kind."""

    as_whole: ClassVar[bool] = True
    takes_bfloat16: ClassVar[bool] = False

    kind: str = "softmax"

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        module: Any = getattr(kernels, self.kind)
        steps: list[Step] = module.backward(inputs[1], inputs[0], outputs[0])
        return steps


@dataclass(frozen=True)
class Dropout(Elementwise):
    """(x, clock) → x/(1−rate) where kept, else 0 (Srivastava et al. 2014, inverted).

    `clock` is (seed, step, first row), int64. The mask is a pure function of it, `stream` and the element's position,
    so the derivative regenerates it and nothing is saved.
    """

    rate: float
    stream: int
    seed: int | None = None
    """One instead of the clock's."""

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return tape.emit(self, grad, call.inputs[1]), None

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.dropout.apply(inputs[0], outputs[0], inputs[1], self.rate, self.stream, self.seed)


@dataclass(frozen=True)
class Noise(Elementwise):
    """(x, clock) → x changed at random as the kernels' formula `kind` says; like Dropout, nothing is saved."""

    kind: str
    stream: int
    seed: int | None = None
    rate: float = 0.0
    a: float = 0.0
    b: float = 0.0
    c: float = 0.0

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        if self.kind in ("kept", "plus normal"):
            return None if self.kind == "kept" else grad, None
        return tape.emit(replace(self, b=0.0, c=0.0), grad, call.inputs[1]), None

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, clock = inputs
        numbers = self.rate, self.a, self.b, self.c
        return kernels.dropout.noise(self.kind, x, outputs[0], clock, self.stream, self.seed, *numbers)


def listed(values: Sequence[Value]) -> str:
    """Format the shapes of `values` for an error message."""
    return ", ".join(str(value.shape) for value in values)
