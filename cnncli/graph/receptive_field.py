"""Receptive fields (Araujo, Norris, Sim: Computing receptive fields of convolutional neural networks, 2019).

The receptive field of a layer is how many rows and columns of the input image one cell of its output depends on: the
most of any cell, over all ways through the graph, with what lies beyond the image's edges.
"""

from cnncli.graph.model import Lowered
from cnncli.ops.ir import Call, Value
from cnncli.ops.reach import SAME, Reaches
from cnncli.ops.window import Pair


def receptive_fields(lowered: Lowered) -> dict[str, Pair | None]:
    """The (rows, columns) that each node and the input see.

    None: its outputs have no place in the image, as after Flatten or global pooling, or are computed from such.
    """
    image = len(lowered.input.shape) == 3
    found: dict[Value, Reaches | None] = {lowered.input: (SAME, SAME) if image else None}
    for call in lowered.builder.calls:
        if not found.keys().isdisjoint(call.inputs):  # else it computes from weights
            found |= dict.fromkeys(call.outputs, _of(call, found))
    return {name: _size(found.get(value)) for name, value in lowered.outputs.items()}


def _of(call: Call, found: dict[Value, Reaches | None]) -> Reaches | None:
    """What the output of an operation reads of the image; weights and the like read nothing of it."""
    whole: Reaches | None = None
    for number, x in enumerate(value for value in call.inputs if value in found):
        earlier, own = found[x], call.op.reads(x, call.output)
        if earlier is None or own is None:
            return None
        rows, columns = own[0].after(earlier[0]), own[1].after(earlier[1])
        if number:
            assert whole is not None
            joined = rows.joined(whole[0]), columns.joined(whole[1])
            if joined[0] is None or joined[1] is None:
                return None
            rows, columns = joined[0], joined[1]
        whole = rows, columns
    return whole


def _size(reaches: Reaches | None) -> Pair | None:
    return (reaches[0].size, reaches[1].size) if reaches else None
