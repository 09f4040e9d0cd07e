"""Fusion: rewrites of the forward operations, before differentiation.

A rewrite looks at one call and its surroundings and says what should stand in its place, or None. Whether
an operation takes an activation, or goes into the product before it, it says itself (`Op.with_activation`,
`Op.folding`). A fused operation is one like any other; what it replaces is its reference. Runs that train nothing have
rewrites of their own, whose operations need no derivative.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from cnncli.ops.conv_pool import ConvPool2D
from cnncli.ops.elementwise import Activation, Softmax
from cnncli.ops.ir import Call, Value
from cnncli.ops.losses import Loss


@dataclass(frozen=True)
class Surroundings:
    """What a rewrite may ask: who makes a value, and how often it is read."""

    makers: Mapping[Value, Call]
    reads: Mapping[Value, int]

    def only_maker(self, value: Value) -> Call | None:
        """The call that makes `value` for one reader alone; None where there are more, or where it is given."""
        return self.makers.get(value) if self.reads[value] == 1 else None


Rewritten = tuple[Sequence[Call], set[Call]]
"""The calls in the place of one, and the calls that are then no longer needed."""
Rewrite = Callable[[Call, Surroundings], Rewritten | None]


def probabilities_of_loss(call: Call, around: Surroundings) -> Rewritten | None:
    """A loss of logits without the activation beside it, which nobody reads in the program: the loss gives it, too."""
    if not isinstance(call.op, Loss) or not call.op.logits_of or around.reads[call.outputs[1]]:
        return None
    activation = Softmax() if call.op.logits_of == "softmax" else Activation(call.op.logits_of)
    for other in around.makers.values():
        if other.op == activation and other.inputs[0] is call.inputs[0] and not around.reads[other.output]:
            return [replace(call, outputs=(call.output, other.output))], {other}
    return None


def conv_relu_pool(call: Call, around: Surroundings) -> Rewritten | None:
    """MaxPool2D 2×2 ∘ ReLU ∘ Conv2D as one operation, where nobody else reads what lies between them."""
    relu = around.only_maker(call.inputs[0])
    conv = around.only_maker(relu.inputs[0]) if relu is not None else None
    if relu is None or conv is None:
        return None
    op = ConvPool2D.instead_of(conv.op, relu.op, call.op)
    if op is None:
        return None
    outputs = (call.output, call.output.like(dtype="uint8"))
    return [Call(op, conv.inputs, outputs, conv.owner)], {relu, conv}


def activated(call: Call, around: Surroundings, *, derivable: bool = False) -> Rewritten | None:
    """An activation and the operation before it as one, where nobody else reads what lies between."""
    maker = around.only_maker(call.inputs[0])
    if maker is None or call.op.as_activation is None:
        return None
    op = maker.op.with_activation(call.op.as_activation, derivable=derivable)
    return None if op is None else ([replace(maker, op=op, outputs=(call.output, *maker.outputs[1:]))], {maker})


def derivably_activated(call: Call, around: Surroundings) -> Rewritten | None:
    """`activated`, but only where the derivative needs nothing that would have to be kept for it."""
    return activated(call, around, derivable=True)


def folded(call: Call, around: Surroundings) -> Rewritten | None:
    """An operation and the product before it as the product alone, with another kernel and bias of weights alone.

    Only where nobody else reads what lies between.
    """
    product = around.only_maker(call.inputs[0])
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


TRAINING = (probabilities_of_loss, conv_relu_pool, derivably_activated)
"""Rewrites of what is then differentiated; the last after the other, which looks for the three."""
INFERENCE = (probabilities_of_loss, folded, conv_relu_pool, activated)


def fuse(calls: Sequence[Call], rewrites: Sequence[Rewrite], kept: Collection[Value] = ()) -> list[Call]:
    """The calls after every rewrite that applies; the values they make and read keep their identity.

    The `kept` ones are read by somebody beside the calls.
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
