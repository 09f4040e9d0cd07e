"""ONNX graphs → drafts: each node becomes layers, a constant, or a refusal with the reason."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.errors import CnncliError, UsageError
from cnncli.interop.incoming.draft import Array, Draft, Refusals, UnsupportedError, needed
from cnncli.interop.incoming.patterns import simplified
from cnncli.interop.onnx import messages
from cnncli.interop.onnx.arithmetic import ARITHMETIC, Translator
from cnncli.interop.onnx.arranging import ARRANGING
from cnncli.interop.onnx.call import Call, Operand
from cnncli.interop.onnx.constants import computed
from cnncli.interop.onnx.gelu import with_gelus
from cnncli.interop.onnx.messages import Input, OnnxGraph, OnnxNode
from cnncli.interop.onnx.values import IMAGE, Flow, Tensor
from cnncli.interop.onnx.windows import WINDOWS
from cnncli.system import memory

TRANSLATORS: Mapping[str, Translator] = {**ARITHMETIC, **ARRANGING, **WINDOWS}
CHANNELS = (1, 3, 4)
"""Of images, by which channels first and last are told apart."""
LONGEST = 1 << 20


class Unknown:
    """The output of a node that can't be imported: what reads it can't be, either, without another word."""


UNKNOWN = Unknown()
Known = Operand | Unknown


def read(path: Path, size: tuple[int, int] | None) -> tuple[Draft, Refusals]:
    """The draft of an ONNX file, with what can't be imported. Raises CnncliError for a bad file.

    `size`: height and width of the images, where the network leaves them open.
    """
    return draft(path, messages.read(path), size)


def draft(path: object, graph: OnnxGraph, size: tuple[int, int] | None = None) -> tuple[Draft, Refusals]:
    """The draft of a graph. Raises UsageError unless it has one input and one output."""
    given = [one for one in graph.inputs if one.name not in graph.constants]
    if len(given) != 1 or len(graph.outputs) != 1:
        count = f"{len(given)} inputs and {len(graph.outputs)} outputs"
        raise UsageError(f"{path}: a network here has one input and one output; received {count}")
    shape, order = shape_and_order(path, given[0], size)
    flow, refusals = Flow(shape, order), Refusals("node")
    values: dict[str, Known] = {**graph.constants, given[0].name: flow.input}
    room = memory.limit() // 4
    for node in with_gelus(graph):
        for array in _translate(node, values, flow, graph.opset, refusals):
            room -= array.nbytes if array.base is None else 0
        if room < 0:
            raise CnncliError(f"{path}: its nodes compute constants of more than {memory.shown(memory.limit() // 4)}")
    output = values.get(graph.outputs[0])
    own = tuple(shape[axis] for axis in order)
    if refusals or isinstance(output, Unknown):
        return Draft(own, ()), refusals
    if not isinstance(output, Tensor):
        raise CnncliError(f"{path}: the output does not depend on the input")
    last = _last(flow, output)
    return simplified(Draft(own, list(needed(flow.entries, last.name)))), refusals


def _last(flow: Flow, output: Tensor) -> Tensor:
    """The output as a network here has it: an image with channels last, anything else in ONNX' order."""
    flow.owner = "output"
    output = flow.whole(output)
    found = flow.ordered(output, IMAGE) if output.rank == 4 else flow.straight(output)
    made = flow.entries and flow.entries[-1].name == found.name
    return found if made else flow.layer("Identity", found)


def shape_and_order(
    path: object, given: Input, size: tuple[int, int] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The input's shape with a batch of 1, and the order of its axes here."""
    shape = list(given.shape or ())
    if len(shape) < 2:
        raise CnncliError(f"{path}: the input must be (batch, channels, height, width); it has {len(shape)} axes")
    last = len(shape) == 4 and shape[1] not in CHANNELS and shape[3] in CHANNELS
    order: tuple[int, ...] = (1, 2, 3) if last else IMAGE
    if len(shape) != 4:
        order = tuple(range(1, len(shape)))
    elif size is not None:
        shape[order[0]], shape[order[1]] = size
    known = [length for length in shape[1:] if length is not None and length < LONGEST]
    if len(known) < len(shape) - 1:
        if len(shape) == 4 and shape[order[2]] is not None:
            raise UsageError(f"{path}: the input has no fixed size: say one with --image-size HEIGHT,WIDTH")
        raise CnncliError(f"{path}: the input must have fixed lengths; it has {shape}")
    return (1, *known), order


def _translate(node: OnnxNode, values: dict[str, Known], flow: Flow, opset: int, refusals: Refusals) -> Sequence[Array]:
    """Add what a node computes to `values`, and return the constants among it."""
    given = [values.get(name) if name else None for name in node.inputs]
    found: Sequence[Known]
    if any(isinstance(value, Unknown) for value in given):
        found = [UNKNOWN] * len(node.outputs)
    else:
        try:
            missing = [name for name, value in zip(node.inputs, given, strict=True) if name and value is None]
            if missing:
                raise UnsupportedError(f"its input {missing[0]} is of no earlier node")
            found = _outputs(node, [value for value in given if not isinstance(value, Unknown)], flow, opset)
        except UnsupportedError as error:
            refusals.add(node.shown, node.operator, str(error))
            found = [UNKNOWN] * len(node.outputs)
    values.update((name, value) for name, value in zip(node.outputs, found, strict=False) if name)
    return [value for value in found if isinstance(value, np.ndarray)]


def _outputs(node: OnnxNode, given: Sequence[Operand | None], flow: Flow, opset: int) -> Sequence[Operand]:
    if node.domain not in ("", "ai.onnx"):
        raise UnsupportedError(f"it is of the domain {node.domain}, not ONNX' own")
    if node.graphs:
        raise UnsupportedError("it has a graph of its own")
    if node.operator in ("Shape", "Size") and given and given[0] is not None:
        return [_size(node, given[0].shape)]
    arrays = [value for value in given if not isinstance(value, Tensor)]
    if len(arrays) == len(given):
        return computed(node.operator, arrays, node.attributes, opset)
    translate = TRANSLATORS.get(node.operator)
    if translate is None:
        raise UnsupportedError("there is no layer for this operator")
    flow.owner = node.shown
    try:
        found: Any = translate(Call(flow, node, given, opset))
    except (ValueError, TypeError, IndexError, KeyError, ArithmeticError) as error:  # shapes that do not fit each other
        raise UnsupportedError(f"its inputs do not fit: {error}") from None
    return found if isinstance(found, list) else [found]


def _size(node: OnnxNode, shape: Sequence[int]) -> Array:
    """Shape, of which a part may be taken, or Size."""
    if node.operator == "Size":
        return np.array(np.prod(shape), np.int64)
    return np.array(shape[node.attributes.get("start", 0) : node.attributes.get("end")], np.int64)
