"""Memory that a network needs in C, from its shapes alone: the same numbers as those of an exported one."""

from typing import NamedTuple

from cnncli.graph.model import Model
from cnncli.interop.exports.c_memory import Buffers
from cnncli.interop.folding import with_normalizations_folded
from cnncli.interop.inference import inference
from cnncli.interop.resampling import taps_of
from cnncli.layers.loss import Loss
from cnncli.ops.batch_normalization import FixedNormalization
from cnncli.ops.ir import Call, Value
from cnncli.ops.merging import AffineChannels

NUMBER = 4
"""Bytes of a float, and of an integer."""


class Sizes(NamedTuple):
    """Bytes of float32: of values between layers, and of weights."""

    ram: int
    flash: int


def sizes(model: Model, loss: Loss | None = None) -> Sizes:
    """What `cnncli export -o FILE.c` tells of the model."""
    network = with_normalizations_folded(inference(model, loss=loss))
    ram = Buffers(network, "", pixels=len(network.input.shape) == 3).bytes
    read = {value for call in network.calls for value in _weights(call)}
    flash = sum(value.size for value in read) + sum(map(_numbers, network.calls))
    return Sizes(-(-ram // NUMBER) * NUMBER, flash * NUMBER)


def _weights(call: Call) -> list[Value]:
    return [value for value in call.inputs if not value.batched and not isinstance(call.op, FixedNormalization)]


def _numbers(call: Call) -> int:
    """How many constants an operation has besides weights: scales and offsets of channels, tables of resampling."""
    if isinstance(call.op, FixedNormalization | AffineChannels):
        return 2 * call.output.shape[-1]
    return sum(len(taps) * (1 + max(len(own) for _, own in taps)) for taps in taps_of(call) or ())
