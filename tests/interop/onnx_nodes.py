"""onnx' node tests through import and our program: a verdict for each.

A network here has one input. The first input of a test is the network's, unless its operator combines several: then all
are parts of one vector, which the graph divides again. Other inputs are constants.

`python -m tests.interop.onnx_nodes > tests/interop/onnx_nodes.txt` writes the list of those that do not pass.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.errors import CnncliError
from cnncli.graph.network import Network
from cnncli.interop.incoming.draft import Refusals
from cnncli.interop.incoming.network import imported
from cnncli.interop.onnx import messages, reading
from cnncli.layers.losses import LOSSES

Array = np.ndarray[Any, Any]
COMBINED = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Concat", "MatMul")
TOLERANCE, ROUNDED = 1e-4, 1e-2
"""Of the largest number; also of tests in 16 bits, whose expected numbers are rounded."""
PASSED = "passed"


def verdicts(path: Path) -> Iterator[tuple[str, str]]:
    """The name and the verdict of each test in the file that tests/fixtures/onnx_nodes.py makes."""
    with np.load(path) as arrays:
        contents = {name: arrays[name].tobytes() for name in arrays.files}
    tests: dict[str, dict[str, bytes]] = {}
    for name, content in contents.items():
        test, _, part = name.partition("/")
        tests.setdefault(test, {})[part] = content
    for test, parts in sorted(tests.items()):
        model = parts.pop("model")
        tensors = {part: messages.tensor(memoryview(content))[1] for part, content in parts.items()}
        inputs, outputs = (
            [tensors[name] for name in (f"{kind}_{number}" for number in range(len(tensors))) if name in tensors]
            for kind in ("input", "output")
        )
        yield test, verdict(model, inputs, outputs)


def verdict(model: bytes, inputs: Sequence[Array], outputs: Sequence[Array]) -> str:
    """`PASSED`, or why not."""
    try:
        graph = messages.model(memoryview(model))
        found = run(graph, inputs or [np.zeros([n or 1 for n in one.shape or ()], "f4") for one in graph.inputs])
    except messages.DamagedError as error:
        return str(error)
    except CnncliError as error:
        *_, last = str(error).splitlines()
        return last.strip().partition(": ")[2]
    if not outputs:
        return "has no outputs to compare with"
    expected = outputs[0][:, np.newaxis] if outputs[0].ndim == 1 and found.ndim == 2 else outputs[0]
    if found.shape != expected.shape:
        return f"wrong shape: {found.shape} for {expected.shape}"
    scale = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0)))
    halves = any(one.kind in messages.HALVES for one in graph.inputs)
    most = (ROUNDED if halves else TOLERANCE) * scale
    near = np.isclose(found, expected.astype(np.float64), rtol=0, atol=most, equal_nan=True)
    if graph.nodes[0].operator == "Cast" and not near.all():
        return "it does not round: layers compute in float32"
    return PASSED if near.all() else f"wrong numbers: {np.abs(found - expected).max():.2g} apart"


def run(graph: messages.OnnxGraph, inputs: Sequence[Array]) -> Array:
    """The output for the inputs, in ONNX' layout. Raises CnncliError for what can't be imported."""
    names = [one.name for one in graph.inputs if one.name not in graph.constants]
    given = dict(zip(names, inputs, strict=False))
    if not given:
        raise CnncliError("input: it has no input that is a tensor")
    if graph.nodes[0].operator in COMBINED[:-2] and len({x.shape for x in given.values()}) == 1:
        given = {name: x[:, np.newaxis] if x.ndim == 1 else x for name, x in given.items()}  # batches of numbers
    batches = len({len(x) for x in given.values() if x.ndim > 1}) == 1 and all(x.ndim > 1 for x in given.values())
    if graph.nodes[0].operator in COMBINED and len(given) > 1 and batches:
        x = combine(graph, given)
    else:
        first, *others = given
        x, kind = given[first], next(one.kind for one in graph.inputs if one.name == first)
        graph.constants.update({name: given[name] for name in others})
        x = x[:, np.newaxis] if x.ndim == 1 else x  # a batch of numbers
        graph.inputs = [messages.Input(first, kind, (None, *x.shape[1:]))]
    graph.outputs = graph.outputs[:1]
    if x.dtype.kind != "f" or x.ndim < 2 or not x.size:
        raise CnncliError(f"input: its input is {x.dtype.name} of {x.ndim} axes; images are floats of a batch")
    draft, refusals = reading.draft("test", graph)
    made = imported("test", draft, refusals or Refusals())
    _, order = reading.shape_and_order("test", graph.inputs[0], None)
    network = Network(made.model, LOSSES.parse("mse"), batch_size=len(x), threads=1)
    network.load(made.weights)
    network.inputs[...] = x.transpose(0, *order)
    network.predict(len(x))
    (y,) = network.predictions.values()
    return y.transpose(0, 3, 1, 2) if y.ndim == 4 else y


def combine(graph: messages.OnnxGraph, given: dict[str, Array]) -> Array:
    """Make the inputs parts of one vector; its batch."""
    sizes = [prod(x.shape[1:]) for x in given.values()]
    graph.constants["sizes"] = np.array(sizes)
    parts = [f"part {name}" for name in given]
    node = messages.OnnxNode("Split", "parts", "", ["all", "sizes"], parts, {"axis": 1}, False)
    before = [node]
    for (name, x), part in zip(given.items(), parts, strict=True):
        graph.constants[f"shape {name}"] = np.array([0, *x.shape[1:]])
        before.append(
            replace(
                node,
                operator="Reshape",
                name=f"shaped {name}",
                inputs=[part, f"shape {name}"],
                outputs=[name],
                attributes={},
            )
        )
    graph.nodes[:0] = before
    graph.inputs = [messages.Input("all", 1, (None, sum(sizes)))]
    graph.opset = max(graph.opset, 13)
    return np.concatenate([x.reshape(len(x), -1) for x in given.values()], axis=1).astype(np.float32)


FIXTURE = Path(__file__).parent.parent / "fixtures" / "onnx_nodes.npz"
LIST = Path(__file__).with_suffix(".txt")


def main() -> None:
    """Print the tests that do not pass, with the reasons."""
    found = dict(verdicts(FIXTURE))
    print(f"{list(found.values()).count(PASSED)} of {len(found)} tests pass. Not, and why:")
    for name, why in found.items():
        if why != PASSED:
            print(f"{name}: {why}")


if __name__ == "__main__":
    main()
