"""The operations of a run: the model with its loss and, for training, their derivative, before memory is assigned."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cnncli.graph import memory
from cnncli.graph.broadcasting import broadcast_in_kernels
from cnncli.graph.fusion import INFERENCE, MIXED_INFERENCE, TRAINING, Rewrite, fuse
from cnncli.graph.model import Lowered, Model, lower, only
from cnncli.graph.precision import FLOAT32, narrowed
from cnncli.graph.rematerialize import rematerialized
from cnncli.graph.schedule import spans
from cnncli.layers.loss import Loss
from cnncli.ops.differentiate import differentiate
from cnncli.ops.ir import Call, Tape, Value
from cnncli.ops.losses import Penalty
from cnncli.ops.merging import Add

Purpose = Literal["train", "evaluate", "predict"]


@dataclass(frozen=True)
class Objective:
    """Operations, with the values that are inputs and results of a run.

    `predictions`, `targets` and `probabilities` are keyed by the names of the model's outputs; probabilities are the
    predictions themselves, or computed from logits. `loss` is None for prediction. `gradients` is keyed by the weight's
    name; a weight that does not influence the loss has none.
    """

    lowered: Lowered
    calls: list[Call]
    predictions: Mapping[str, Value]
    targets: Mapping[str, Value]
    sample_weight: Value
    loss: Value | None
    probabilities: Mapping[str, Value]
    gradients: Mapping[str, Value]

    @property
    def penalties(self) -> list[Value]:
        """The regularization terms, one scalar each."""
        return [call.output for call in self.calls if isinstance(call.op, Penalty)]

    @property
    def given(self) -> list[Value]:
        """Values filled in before a run: input, targets, weights and so on."""
        lowered = self.lowered
        weights = [parameter.value for parameter in lowered.parameters]
        return [lowered.input, lowered.builder.clock, *self.targets.values(), self.sample_weight, *weights]

    @property
    def kept(self) -> list[Value]:
        """Values read after a run, except gradients."""
        outputs = dict.fromkeys((*self.predictions.values(), *self.probabilities.values()))
        return [*outputs, *self.penalties, *([] if self.loss is None else [self.loss])]


def objective(
    model: Model,
    loss: Loss,
    purpose: Purpose,
    rewrites: Sequence[Rewrite] | None = None,
    *,
    dtype: str = "float32",
    policy: str = FLOAT32,
    weigh_positions: bool = False,
) -> Objective:
    """Return the operations of one kind of run in `dtype`, fused by `rewrites` (None: the default ones for `purpose`).

    For "train", the backward pass follows. `policy`: one of `precision.POLICIES`. `weigh_positions`: sample weights are
    those of positions, all axes but the last.
    """
    if rewrites is None:
        rewrites = TRAINING if purpose == "train" else INFERENCE if policy == FLOAT32 else MIXED_INFERENCE
    exact = _exact(model, loss, purpose, rewrites, dtype, weigh_positions=weigh_positions)
    if policy == FLOAT32:
        return exact
    return replace(exact, calls=narrowed(exact.calls, [*exact.given, *exact.kept]))


def _exact(
    model: Model,
    loss: Loss,
    purpose: Purpose,
    rewrites: Sequence[Rewrite],
    dtype: str,
    *,
    weigh_positions: bool,
) -> Objective:
    """Return the operations as `objective` does, of one dtype."""
    training = purpose == "train"
    lowered = lower(model, training=training, dtype=dtype)
    predictions = {name: lowered.outputs[name] for name in model.outputs}
    targets = {name: replace(output, label=f"target of {name}") for name, output in predictions.items()}
    weighed = only(predictions).shape[:-1] if weigh_positions else ()
    sample_weight = Value(weighed, dtype=dtype, label="sample_weight")
    if purpose == "predict":
        probabilities = {name: loss.probabilities(lowered.builder, output) for name, output in predictions.items()}
        calls = [call for call in lowered.builder.calls if not isinstance(call.op, Penalty)]
        fused = fuse(calls, rewrites, [*predictions.values(), *probabilities.values()])
        return Objective(lowered, fused, predictions, targets, sample_weight, None, probabilities, {})
    value, of_only = loss.lower(lowered.builder, only(predictions), only(targets), sample_weight)
    probabilities = dict.fromkeys(predictions, of_only)
    tape = Tape(fuse(lowered.builder.calls, rewrites))
    forward = Objective(lowered, tape.calls, predictions, targets, sample_weight, value, probabilities, {})
    return _differentiated(forward, tape) if training else forward


def training_memory(model: Model, loss: Loss, batch_size: int, slots: int, policy: str = FLOAT32) -> int:
    """Bytes that training needs for weights, gradients, `slots` of the optimizer, batch and buffers.

    Kernel scratch, thread-local slices (a few percent) and the interpreter are not counted.
    """
    train = objective(model, loss, "train", policy=policy)

    def size(value: Value) -> int:
        return value.bytes * (batch_size if value.batched else 1)

    placed = {*train.given, *train.gradients.values(), *train.lowered.builder.updates}
    lives = memory.lives(train.calls, placed, train.kept, size, spans=spans(train.calls))
    buffers = memory.layout(lives, size, lives.short_lived).total
    weights = sum(size(p.value) * (2 + slots if p.weight.trainable else 1) for p in train.lowered.parameters)
    return buffers + weights + sum(map(size, (train.lowered.input, *train.targets.values())))


def _differentiated(forward: Objective, tape: Tape) -> Objective:
    lowered = forward.lowered
    trained = [parameter for parameter in lowered.parameters if parameter.weight.trainable]
    grads = differentiate(tape, [parameter.value for parameter in trained])
    placed, gradients = set(forward.given), {}
    for parameter in trained:
        grad = grads[parameter.value]
        if grad is not None:
            grad = _unaliased(tape, grad, placed)
            placed.add(grad)
            gradients[parameter.name] = grad
    calls = broadcast_in_kernels(tape.calls, gradients.values())
    return replace(forward, calls=rematerialized(calls, forward.loss), gradients=gradients)


def _unaliased(tape: Tape, grad: Value, placed: Collection[Value]) -> Value:
    """Return `grad`, or a copy if it aliases a placed value: weights that are added share one gradient."""
    views = {call.output: call.inputs[0] for call in tape.calls if call.op.is_view}
    taken = {memory.find(views, value) for value in placed}
    return tape.emit(Add(), grad) if memory.find(views, grad) in taken else grad
