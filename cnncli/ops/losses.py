"""Terms of the objective: losses of a batch and penalties on weights and activities.

A loss maps (prediction, target, sample weight) to each sample's weighted loss, shape (); the objective is their mean
over the batch plus the penalties. These ops are roots: their derivative is that of the objective.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.ops.ir import Call, Op, Tape, Value

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor

Arguments = tuple[tuple[str, Any], ...]
"""Arguments of a loss, by name."""


@dataclass(frozen=True)
class Loss(Op):
    """(prediction, target, weight () or of positions) → the weighted loss of each sample, shape () [, probabilities].

    `kind`: name of the rule in `kernels.losses.loss_rules.RULES`; `arguments`: the rule's arguments. `logits_of`: for a
    loss of logits, the activation that turns them into probabilities, which are then the second output. `in_parts`:
    whether the batch may be trained in parts, over which sums of the whole batch then go.
    """

    as_whole: ClassVar[bool] = True
    reads_exactly: ClassVar[bool] = True

    kind: str
    arguments: Arguments = ()
    logits_of: str = ""
    in_parts: bool = False
    is_root: ClassVar[bool] = True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        prediction, target, _ = inputs
        if prediction.shape != target.shape:
            raise ShapeError(f"prediction and target must have one shape; received {prediction.shape}, {target.shape}")
        loss = prediction.like(())
        return (loss, prediction.like()) if self.logits_of else (loss,)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        prediction, target, weight = call.inputs
        saved = call.outputs[1] if self.logits_of else prediction
        return tape.emit(LossGrad(self.kind, self.arguments, self.in_parts), saved, target, weight), None, None

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        arguments = dict(self.arguments)
        return kernels.loss_functions.loss(self.kind, arguments, *inputs, *outputs, in_parts=self.in_parts)


@dataclass(frozen=True)
class LossGrad(Op):
    """(prediction or probabilities, target, weight) → the gradient of the batch's mean loss."""

    as_whole: ClassVar[bool] = True

    kind: str
    arguments: Arguments
    in_parts: bool = False

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        arguments = dict(self.arguments)
        return kernels.loss_functions.gradient(self.kind, arguments, *inputs, *outputs, in_parts=self.in_parts)


@dataclass(frozen=True)
class Penalty(Op):
    """x → a penalty, shape (1,)."""

    as_whole: ClassVar[bool] = True
    is_root: ClassVar[bool] = True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like((1,), batched=False),)


@dataclass(frozen=True)
class SizePenalty(Penalty):
    """x → l1·Σ|x| + l2·Σx²; for a batched x (an activity) divided by the batch size, as in Keras."""

    l1: float
    l2: float
    batched: bool

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        return (tape.emit(SizePenaltyGrad(self.l1, self.l2, self.batched), call.inputs[0]),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.penalties.value(
            inputs[0], outputs[0], self.l1, self.l2, _scale(self.batched, inputs[0]), scratch
        )


@dataclass(frozen=True)
class SizePenaltyGrad(Op):
    """x → the gradient of SizePenalty: l1·sign(x) + 2·l2·x, divided by the batch size if `batched`."""

    as_whole: ClassVar[bool] = True

    l1: float
    l2: float
    batched: bool

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.penalties.gradient(inputs[0], outputs[0], self.l1, self.l2, _scale(self.batched, inputs[0]))


@dataclass(frozen=True)
class AnglePenalty(Penalty):
    """x, a matrix → factor · the mean of |cos| of the angles between its rows, or its columns."""

    factor: float
    rows: bool

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        return (tape.emit(AnglePenaltyGrad(self.factor, self.rows), call.inputs[0]),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.orthogonal.value(inputs[0], outputs[0], self.factor, self.rows, scratch)


@dataclass(frozen=True)
class AnglePenaltyGrad(Op):
    """x → the gradient of AnglePenalty."""

    as_whole: ClassVar[bool] = True

    factor: float
    rows: bool

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.orthogonal.gradient(inputs[0], outputs[0], self.factor, self.rows, scratch)


def _scale(batched: bool, x: Tensor) -> float:
    return 1 / x.shape[0] if batched else 1.0
