"""What is one layer in our vocabulary and several in others: hard-swish as Add, Clip, Mul and Div; scale and offset
after a convolution; an activation after its layer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cnncli.graph.model import INPUT
from cnncli.interop.incoming.draft import Array, Draft, Entry

Affine = tuple[Array, Array]
"""Scale and offset of channels."""
ACTIVATED = ("Conv2D", "Conv2DTranspose", "Dense", "DepthwiseConv2D", "SeparableConv2D")
"""Layers with an `activation`."""
OUTPUTS: Mapping[str, tuple[int, ...]] = {
    "Conv2D": (3,),
    "Conv2DTranspose": (2,),
    "Dense": (1,),
    "DepthwiseConv2D": (2, 3),
}
"""The axes of a kernel that are those of the outputs."""
NEAR = 1e-4


class Net:
    """Layers by name, in their order, and who reads them."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = {entry.name: entry for entry in entries}
        self.readers: dict[str, list[str]] = {}
        for entry in entries:
            for name in entry.inputs:
                self.readers.setdefault(name, []).append(entry.name)

    def source(self, entry: Entry, number: int = 0) -> Entry | None:
        """The layer that an input comes from; None for the network's input."""
        return self.entries.get(entry.inputs[number])

    def lonely(self, entry: Entry | None) -> Entry | None:
        """A layer that only one layer reads, once."""
        return entry if entry is not None and len(self.readers.get(entry.name, ())) == 1 else None

    def put(self, entry: Entry) -> None:
        """Replace the layer of this name."""
        old = self.entries[entry.name]
        for name in old.inputs:
            self.readers[name].remove(entry.name)
        for name in entry.inputs:
            self.readers.setdefault(name, []).append(entry.name)
        self.entries[entry.name] = entry
        for name in dict.fromkeys(old.inputs):
            if not self.readers[name] and name != INPUT and name not in entry.inputs:
                self.drop(self.entries[name])

    def drop(self, entry: Entry) -> None:
        """Remove a layer that nothing reads, with those that only it reads."""
        del self.entries[entry.name]
        for name in entry.inputs:
            self.readers[name].remove(entry.name)
            if not self.readers[name] and name != INPUT and name in self.entries:
                self.drop(self.entries[name])

    def join(self, first: Entry, second: Entry) -> None:
        """Put `first`, changed, in the place of itself and of its only reader, whose name it takes over."""
        for reader in list(self.readers.get(second.name, ())):
            old = self.entries[reader]
            inputs = tuple(first.name if name == second.name else name for name in old.inputs)
            self.entries[reader] = replace(old, inputs=inputs)
        self.readers[first.name] = self.readers.pop(second.name, [])
        self.entries[first.name] = first
        del self.entries[second.name]


Rule = Callable[[Net, Entry], bool]


def simplified(draft: Draft) -> Draft:
    """The draft with these layers."""
    net = Net(draft.entries)
    for rule in (_hard_sigmoid, _swish, _pooled, _folded, _activated):
        for name in list(net.entries):
            while name in net.entries and rule(net, net.entries[name]):
                pass
    return draft.replaced(list(net.entries.values()))


def _number(entry: Entry | None, kind: str, **wanted: float) -> bool:
    """Whether a layer is of this kind with about these numbers, and the defaults of all others."""
    if entry is None or entry.kind != kind:
        return False
    given = {key: value for key, value in entry.arguments.items() if key not in wanted}
    if any(value not in (0.0, None) for value in given.values()):
        return False
    found = {key: entry.arguments.get(key, 0.0) for key in wanted}
    return all(
        isinstance(value, float | int) and abs(value - wanted[key]) <= NEAR * wanted[key]
        for key, value in found.items()
    )


def _six_times(net: Net, entry: Entry | None) -> str | None:
    """The input x, where a layer is 6 · hard_sigmoid(x) = relu6(x + 3)."""
    if entry is None or not _number(entry, "ReLU", max_value=6.0):
        return None
    added = net.lonely(net.source(entry))
    return added.inputs[0] if added is not None and _number(added, "Rescaling", scale=1.0, offset=3.0) else None


def _hard_sigmoid(net: Net, entry: Entry) -> bool:
    """relu6(x + 3) / 6, or min(relu(x / 6 + 1/2), 1)."""
    source = net.lonely(net.source(entry)) if entry.inputs else None
    x = None
    if _number(entry, "Rescaling", scale=1 / 6):
        x = _six_times(net, source)
    elif _number(entry, "ReLU", max_value=1.0) and _number(source, "Rescaling", scale=1 / 6, offset=0.5):
        assert source is not None
        x = source.inputs[0]
    if x is None:
        return False
    net.put(Entry(entry.name, "Activation", (x,), {"activation": "hard_sigmoid"}))
    return True


def _swish(net: Net, entry: Entry) -> bool:
    """x · hard_sigmoid(x), also as x · relu6(x + 3) / 6, and x · sigmoid(x)."""
    if _number(entry, "Rescaling", scale=1 / 6):
        product = net.lonely(net.source(entry))
        if product is not None and product.kind == "Multiply" and len(product.inputs) == 2:
            for x, other in (product.inputs, product.inputs[::-1]):
                if _six_times(net, net.lonely(net.entries.get(other))) == x:
                    net.put(Entry(entry.name, "Activation", (x,), {"activation": "hard_silu"}))
                    return True
    if entry.kind == "Multiply" and len(entry.inputs) == 2:
        for x, other in (entry.inputs, entry.inputs[::-1]):
            gate = net.lonely(net.entries.get(other))
            if gate is not None and gate.kind == "Activation" and gate.inputs == (x,):
                found = {"hard_sigmoid": "hard_silu", "sigmoid": "silu"}.get(str(gate.arguments["activation"]))
                if found is not None:
                    net.put(Entry(entry.name, "Activation", (x,), {"activation": found}))
                    return True
    return False


def _pooled(net: Net, entry: Entry) -> bool:
    """A global pooling that keeps its axes, and is flattened then."""
    flat = entry.kind == "Flatten" or (entry.kind == "Reshape" and len(entry.arguments["target_shape"]) == 1)
    source = net.lonely(net.source(entry)) if flat else None
    if source is None or not source.kind.startswith("Global") or not source.arguments.get("keepdims"):
        return False
    net.join(replace(source, arguments={**source.arguments, "keepdims": False}), entry)
    return True


def affine(entry: Entry) -> Affine | None:
    """Scale and offset, if a layer is no more than these."""
    if entry.kind == "Rescaling":
        return np.array(entry.arguments["scale"], np.float64), np.array(entry.arguments.get("offset", 0.0), np.float64)
    if entry.kind != "DepthwiseConv2D" or entry.arguments.get("activation") is not None:
        return None
    kernel = entry.weights["kernel"]
    if (*kernel.shape[:2], kernel.shape[3], *entry.arguments.get("strides", (1, 1))) != (1, 1, 1, 1, 1):
        return None
    bias = entry.weights.get("bias", np.zeros(kernel.size))
    return kernel.reshape(-1).astype(np.float64), bias.astype(np.float64)


def _folded(net: Net, entry: Entry) -> bool:
    """A scale and offset after a layer that is linear itself become part of its weights."""
    change = affine(entry)
    source = net.lonely(net.source(entry)) if change is not None else None
    if source is None or change is None or source.arguments.get("activation") is not None:
        return False
    scale, offset = change
    if source.kind == "BatchNormalization" and source.arguments.get("axis", -1) == -1:
        gamma, beta = (source.weights[name].astype(np.float64) for name in ("gamma", "beta"))
        weights = {**source.weights, "gamma": gamma * scale, "beta": beta * scale + offset}
        net.join(replace(source, weights=weights), entry)
        return True
    if source.kind == "Rescaling" and entry.kind == "Rescaling":
        before = affine(source)
        assert before is not None
        scale, offset = before[0] * scale, before[1] * scale + offset
        net.join(replace(source, arguments={"scale": scale.tolist(), "offset": offset.tolist()}), entry)
        return True
    if source.kind not in OUTPUTS:
        return False
    net.join(_scaled(source, scale, offset), entry)
    return True


def _scaled(source: Entry, scale: Array, offset: Array) -> Entry:
    kernel, axes = source.weights["kernel"].astype(np.float64), OUTPUTS[source.kind]
    outputs = tuple(kernel.shape[axis] for axis in axes)
    size = int(np.prod(outputs))
    shape = [length if axis in axes else 1 for axis, length in enumerate(kernel.shape)]
    weights = {**source.weights, "kernel": kernel * np.broadcast_to(scale, size).reshape(shape)}
    bias = source.weights.get("bias")
    bias = np.zeros(size) if bias is None else bias.astype(np.float64)
    if bias.any() or offset.any():
        weights["bias"] = np.broadcast_to(bias * scale + offset, size)
    return replace(source, weights=weights, arguments={**source.arguments, "use_bias": "bias" in weights})


def _activated(net: Net, entry: Entry) -> bool:
    """An activation after a layer that takes one."""
    activation = _activation(entry)
    source = net.lonely(net.source(entry)) if activation is not None else None
    if source is None or source.kind not in ACTIVATED or source.arguments.get("activation") is not None:
        return False
    net.join(replace(source, arguments={**source.arguments, "activation": activation}), entry)
    return True


def _activation(entry: Entry) -> Any:
    if entry.kind == "Activation":
        return entry.arguments["activation"]
    if entry.kind == "ReLU":
        return "relu6" if entry.arguments == {"max_value": 6.0} else {"relu": dict(entry.arguments)}
    if entry.kind in ("LeakyReLU", "ELU"):
        return {"leaky_relu" if entry.kind == "LeakyReLU" else "elu": dict(entry.arguments)}
    return "softmax" if entry.kind == "Softmax" and entry.arguments == {"axis": -1} else None
