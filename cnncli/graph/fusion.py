"""Operator fusion: rewrites of the forward operations, applied before differentiation.

A rewrite receives one call with its context and returns the calls that replace it, or None. The operation itself
declares whether it can absorb an activation (`Op.with_activation`) or be folded into the preceding product
(`Op.folding`). A fused operation is an ordinary `Op`; the operations it replaces are its reference implementation.
Inference has its own rewrites, whose operations need no derivative.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from cnncli.ops.conv_pool import ConvPool2D
from cnncli.ops.elementwise import Activation, Softmax
from cnncli.ops.ir import Call, Value
from cnncli.ops.losses import Loss
from cnncli.ops.merging import Add
from cnncli.ops.separable import ExpandedDepthwise, Pair, SeparableConv2D


@dataclass(frozen=True)
class Surroundings:
    """The context of a rewrite: the producer of each value, and its number of uses."""

    producers: Mapping[Value, Call]
    reads: Mapping[Value, int]

    def sole_producer(self, value: Value) -> Call | None:
        """Return the producer of `value` if it has exactly one use; None if it has more, or is a program input."""
        return self.producers.get(value) if self.reads[value] == 1 else None


Rewritten = tuple[Sequence[Call], set[Call]]
"""The calls that replace one, and the calls that become dead."""
Rewrite = Callable[[Call, Surroundings], Rewritten | None]


def probabilities_of_loss(call: Call, around: Surroundings) -> Rewritten | None:
    """Remove the activation next to a loss of logits if the program has no use of it: the loss also outputs it."""
    if not isinstance(call.op, Loss) or not call.op.logits_of or around.reads[call.outputs[1]]:
        return None
    activation = Softmax() if call.op.logits_of == "softmax" else Activation(call.op.logits_of)
    for other in around.producers.values():
        if other.op == activation and other.inputs[0] is call.inputs[0] and not around.reads[other.output]:
            return [replace(call, outputs=(call.output, other.output))], {other}
    return None


def conv_relu_pool(call: Call, around: Surroundings) -> Rewritten | None:
    """Fuse MaxPool2D 2×2 ∘ ReLU ∘ Conv2D if the intermediate values have no other use."""
    relu = around.sole_producer(call.inputs[0])
    conv = around.sole_producer(relu.inputs[0]) if relu is not None else None
    if relu is None or conv is None:
        return None
    op = ConvPool2D.instead_of(conv.op, relu.op, call.op)
    if op is None:
        return None
    outputs = (call.output, call.output.like(dtype="uint8"))
    return [Call(op, conv.inputs, outputs, conv.owner)], {relu, conv}


def fuse_activation(call: Call, around: Surroundings, *, derivable: bool = False) -> Rewritten | None:
    """Fuse an activation into the preceding operation if the intermediate value has no other use."""
    producer = around.sole_producer(call.inputs[0])
    if producer is None or call.op.as_activation is None:
        return None
    op = producer.op.with_activation(call.op.as_activation, derivable=derivable)
    if op is None:
        return None
    more = op.infer(*producer.inputs)[len(producer.outputs) :]
    return [replace(producer, op=op, outputs=(call.output, *producer.outputs[1:], *more))], {producer}


def fuse_activation_training(call: Call, around: Surroundings) -> Rewritten | None:
    """Fuse as `fuse_activation` does; the operation saves what its derivative needs."""
    return fuse_activation(call, around, derivable=True)


def folded(call: Call, around: Surroundings) -> Rewritten | None:
    """Fold an operation into the preceding product: a new kernel and bias are computed from weights only.

    Applies only if the intermediate value has no other use.
    """
    product = around.sole_producer(call.inputs[0])
    if product is None or product.op.inner_axes is None:
        return None
    x, kernel, *bias = product.inputs
    folding = call.op.folding(prod(kernel.shape[len(kernel.shape) - product.op.inner_axes :]))
    op = None if folding is None else product.op.with_activation(folding.activation, derivable=False)
    if folding is None or op is None:
        return None
    inputs = (kernel, *call.inputs[1:], *bias)
    weights = Call(folding.op, inputs, folding.op.infer(*inputs), call.owner)
    return [weights, replace(product, op=op, inputs=(x, *weights.outputs), outputs=call.outputs)], {product}


def sum_after_product(call: Call, around: Surroundings) -> Rewritten | None:
    """Add a shortcut where the other summand is computed, with the same bits, instead of in a pass of its own."""
    if not isinstance(call.op, Add) or len(call.inputs) != 2:
        return None
    for value, other in (call.inputs, call.inputs[::-1]):
        producer = around.sole_producer(value)
        op = producer.op.with_summand() if producer is not None and other.shape == value.shape else None
        if producer is not None and op is not None and other.batched:
            return [replace(producer, op=op, inputs=(*producer.inputs, other), outputs=call.outputs)], {producer}
    return None


def expanded_depthwise(call: Call, around: Surroundings) -> Rewritten | None:
    """Fuse a 1×1 convolution into the depthwise one that reads it, so that the expanded image stays in the cache."""
    return _paired(ExpandedDepthwise, call, around)


def separable(call: Call, around: Surroundings) -> Rewritten | None:
    """Fuse a depthwise convolution into the 1×1 one that reads it, so that the filtered image stays in the cache."""
    return _paired(SeparableConv2D, call, around)


def _paired(kind: type[Pair], call: Call, around: Surroundings) -> Rewritten | None:
    first = around.sole_producer(call.inputs[0]) if call.inputs else None
    op = kind.instead_of(first, call) if first is not None else None
    if first is None or op is None:
        return None
    return [replace(call, op=op, inputs=(*first.inputs, *call.inputs[1:]))], {first}


TRAINING = (probabilities_of_loss, conv_relu_pool, fuse_activation_training)
"""Rewrites before differentiation. `conv_relu_pool` comes first, because it matches the unfused activation."""
PAIRS = expanded_depthwise, separable
MIXED_INFERENCE = (probabilities_of_loss, folded, conv_relu_pool, fuse_activation)
"""Products of bfloat16 take no summand, and their sums are rounded before they are filtered."""
INFERENCE = (probabilities_of_loss, folded, sum_after_product, conv_relu_pool, fuse_activation, *PAIRS)


def fuse(calls: Sequence[Call], rewrites: Sequence[Rewrite], kept: Collection[Value] = ()) -> list[Call]:
    """Apply the rewrites in order; values keep their identity.

    `kept` values have uses outside the calls.
    """
    fused = list(calls)
    for rewrite in rewrites:
        reads = Counter([*kept, *(value for call in fused for value in call.inputs)])
        around = Surroundings({value: call for call in fused for value in call.outputs}, reads)
        gone: set[Call] = set()
        found: list[Call] = []
        for call in fused:
            calls_instead, unneeded = rewrite(call, around) or ([call], set())
            found += calls_instead
            gone |= unneeded
        fused = [call for call in found if call not in gone]
    return fused
