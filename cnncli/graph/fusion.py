"""Fusion: rewrites of the forward operations, before differentiation.

A rewrite looks at one call and its surroundings and says what should stand in its place, or None. A fused operation is
one like any other; what it replaces is its reference.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from cnncli.ops.batch_normalization import BatchNormalization, FixedNormalization
from cnncli.ops.conv import Conv2D
from cnncli.ops.conv_pool import POOL, ConvPool2D
from cnncli.ops.elementwise import Activation, Softmax
from cnncli.ops.ir import Call, Op, Value
from cnncli.ops.losses import Loss
from cnncli.ops.pooling import MaxPool2D
from cnncli.ops.product import Product


@dataclass(frozen=True)
class Surroundings:
    """What a rewrite may ask: who makes a value, and how often it is read."""

    makers: Mapping[Value, Call]
    reads: Mapping[Value, int]

    def only_maker(self, value: Value) -> Call | None:
        """The call that makes `value` for one reader alone; None where there are more, or where it is given."""
        return self.makers.get(value) if self.reads[value] == 1 else None


Rewrite = Callable[[Call, Surroundings], tuple[Call, set[Call]] | None]
"""(call, surroundings) → the call in its place, and the calls that are then no longer needed."""


def loss_from_logits(kind: str, activation: Op, fused: str) -> Rewrite:
    """Loss ∘ activation as one operation on the logits, with the stable gradient; it also gives the probabilities.

    This is what Keras computes in graph mode, whatever else reads the probabilities.
    """

    def rewrite(call: Call, around: Surroundings) -> tuple[Call, set[Call]] | None:
        if not isinstance(call.op, Loss) or call.op.kind != kind:
            return None
        prediction, target, weight = call.inputs
        maker = around.makers.get(prediction)
        if maker is None or maker.op != activation:
            return None
        alone = around.reads[prediction] == 1
        probabilities = prediction if alone else prediction.like()
        inputs = (maker.inputs[0], target, weight)
        return replace(call, op=replace(call.op, kind=fused), inputs=inputs, outputs=(call.output, probabilities)), (
            {maker} if alone else set()
        )

    return rewrite


def conv_relu_pool(call: Call, around: Surroundings) -> tuple[Call, set[Call]] | None:
    """MaxPool2D 2×2 ∘ ReLU ∘ Conv2D as one operation, where nobody else reads what lies between them."""
    if call.op != MaxPool2D(POOL):
        return None
    relu = around.only_maker(call.inputs[0])
    conv = around.only_maker(relu.inputs[0]) if relu is not None and relu.op == Activation("relu") else None
    if relu is None or conv is None or not isinstance(conv.op, Conv2D):
        return None
    window = conv.op.window
    if conv.op.groups != 1 or window.dilation != (1, 1):
        return None
    outputs = (call.output, call.output.like(dtype="uint8"))
    return Call(ConvPool2D(window), conv.inputs, outputs, conv.owner), {relu, conv}


NORMALIZATIONS = (BatchNormalization, FixedNormalization)


def activated(call: Call, around: Surroundings) -> tuple[Call, set[Call]] | None:
    """Activation ∘ a product or a normalization as one operation, where nobody else reads what lies between.

    An activation whose derivative needs its input goes with normalizations only: they compute that anew, products
    would have to keep it.
    """
    if not isinstance(call.op, Activation):
        return None
    maker = around.only_maker(call.inputs[0])
    if maker is None or not isinstance(maker.op, (Product, *NORMALIZATIONS)) or maker.op.activation != "linear":
        return None
    if call.op.of_input and not isinstance(maker.op, NORMALIZATIONS):
        return None
    outputs = (call.output, *maker.outputs[1:])
    return replace(maker, op=replace(maker.op, activation=call.op.kind), outputs=outputs), {maker}


REWRITES: Sequence[Rewrite] = (
    loss_from_logits("cross_entropy", Softmax(), "softmax_cross_entropy"),
    loss_from_logits("binary_cross_entropy", Activation("sigmoid"), "sigmoid_cross_entropy"),
    conv_relu_pool,
    activated,  # after the other, which looks for the three
)


def fuse(calls: Sequence[Call], rewrites: Sequence[Rewrite] = REWRITES, kept: Collection[Value] = ()) -> list[Call]:
    """The calls after every rewrite that applies; the values they make and read keep their identity.

    The `kept` ones are read by somebody beside the calls.
    """
    fused = list(calls)
    for rewrite in rewrites:
        reads = Counter([*kept, *(value for call in fused for value in call.inputs)])
        around = Surroundings({value: call for call in fused for value in call.outputs}, reads)
        gone: set[Call] = set()
        for position, call in enumerate(fused):
            result = rewrite(call, around)
            if result is not None:
                fused[position] = result[0]
                gone |= result[1]
        fused = [call for call in fused if call not in gone]
    return fused
