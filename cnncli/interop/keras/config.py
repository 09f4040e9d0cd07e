"""The configuration of a Keras model → a draft: nested models are flattened, and weights found by Keras' rules."""

import heapq
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from cnncli.errors import CnncliError
from cnncli.graph.model import INPUT
from cnncli.interop.incoming.draft import MOST_LAYERS, Array, Draft, Entry, Names, Refusals, UnsupportedError, needed
from cnncli.interop.keras.operations import operation
from cnncli.interop.keras.serialized import arguments, check_dtype, class_of
from cnncli.layers.vocabulary import layers
from cnncli.ops.ir import Shape

MODELS = ("Functional", "Sequential", "Model")
SEVERAL = "a network here has one input and one output"
TF_FUNCTION = "TFOpLambda"
"""Keras 2's class of functions of TensorFlow, such as `x + 3`."""
SHARED = "it is used several times with the same weights, which a spec can't say"
DEEPEST = 50
"""Models within models."""
Node = tuple[str, int]
"""A layer and the number of its call."""


class Weights(Protocol):
    """Where the weights of layers come from."""

    def of(self, place: Sequence[str], names: Sequence[str]) -> Sequence[Array]:
        """The arrays of the layer at `place`, the names of the models and layers around it, in Keras' order.

        `names`: the names of the same layers as they are called, for files that go by them.
        """


class Reader:
    """Reads one model; `layers_of` and `output` are the result."""

    def __init__(self, path: object, weights: Weights, size: tuple[int, int] | None) -> None:
        self.path, self.weights, self.size = path, weights, size
        self.names, self.refusals = Names(), Refusals()
        self.entries: list[Entry] = []
        self.shape: Shape | None = None

    def draft(self, config: Mapping[str, Any]) -> Draft:
        """The draft of the model. Raises CnncliError for what is not one; refusals are collected."""
        try:
            name = class_of(config)
            if name not in MODELS:
                raise UnsupportedError(f"{name} is a model of its own class, whose code is not in the file")
            output = self._model(config, (), (), [INPUT])
        except UnsupportedError as error:
            raise CnncliError(f"{self.path}: the model can't be imported: {error}") from None
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            raise CnncliError(f"{self.path}: is damaged: its configuration is none that Keras writes") from None
        if self.shape is None:
            raise CnncliError(f"{self.path}: the model has no input layer, which says the size of its images")
        return Draft(self.shape, list(needed(self.entries, output)))

    def _model(self, model: Mapping[str, Any], place: Sequence[str], called: Sequence[str], inputs: list[str]) -> str:
        """Add the layers of a model, and return the name of its output."""
        if len(called) > DEEPEST:
            raise UnsupportedError("models are nested too deeply")
        config = _mapping(model, "config")
        found = _list(config, "layers")
        paths = dict(_store_names(found))
        if class_of(model) == "Sequential":
            for number, layer in enumerate(found):
                where = (*place, "layers", paths[number])
                inputs = [self._layer(_object(layer), where, called, inputs)]
            return _single(inputs)
        places = {number: (*place, "layers", path) for number, path in paths.items()}
        return self._functional(config, places, called, inputs)

    def _functional(
        self,
        config: Mapping[str, Any],
        places: Mapping[int, Sequence[str]],
        called: Sequence[str],
        inputs: list[str],
    ) -> str:
        found = _list(config, "layers")
        given = list(_ends(config.get("input_layers")))
        wanted = list(_ends(config.get("output_layers")))
        if len(given) != 1 or len(wanted) != 1 or len(inputs) != 1:
            raise UnsupportedError(f"it has {len(given)} inputs and {len(wanted)} outputs; {SEVERAL}")
        by_name = {str(layer.get("name")): (number, layer) for number, layer in enumerate(map(_object, found))}
        calls = {
            (name, number): call
            for name, (_, layer) in by_name.items()
            for number, call in enumerate(_list(layer, "inbound_nodes"))
        }
        first = {name: _first_call(name, layer, calls, wanted) for name, (_, layer) in by_name.items()}
        calls = {(name, number + first[name]): call for (name, number), call in calls.items()}
        made: dict[Node, str] = {}
        for node in _ordered(calls, [name for name in by_name if by_name[name][1].get("class_name") == "InputLayer"]):
            number, layer = by_name[node[0]]
            where = places[number]
            if layer.get("class_name") == "InputLayer":
                made[node] = self._layer(layer, where, called, inputs)
                continue
            sources = [made.get(source) for source in _tensors(calls[node])]
            if None in sources or not sources:
                raise UnsupportedError(f"{node[0]} is not connected to the input")
            before = len(self.entries)
            if _is_operation(layer):
                made[node] = self._operation(layer, calls[node], made, called)
            elif any(not _is_of_tensors(value) for value in _arguments_of(calls[node])):
                raise UnsupportedError(f"{node[0]} is called with something else than outputs of layers")
            else:
                made[node] = self._layer(layer, where, called, [str(source) for source in sources])
            if node[1] > first[node[0]] and any(entry.weights for entry in self.entries[before:]):
                self.refusals.add("/".join((*called, node[0])), str(layer.get("class_name")), SHARED)
        if wanted[0] not in made:
            raise UnsupportedError("its output is not connected to the input")
        return made[wanted[0]]

    def _layer(self, layer: Mapping[str, Any], place: Sequence[str], called: Sequence[str], inputs: list[str]) -> str:
        """Add a layer, and return the name of its output."""
        config = _mapping(layer, "config")
        own = str(config.get("name", layer.get("name", "layer")))
        kind = str(layer.get("class_name"))
        name = "/".join((*called, own))
        if len(self.entries) >= MOST_LAYERS:
            raise UnsupportedError(f"a model must not have more than {MOST_LAYERS:,} layers")
        try:
            kind = class_of(layer)
            if kind in MODELS:
                return self._model(layer, place, (*called, own), inputs)
            if kind == "InputLayer":
                self._input(config)
                return _single(inputs)
            check_dtype(config.get("dtype"))
            self._add(name, kind, config, inputs, self.weights.of(place, (*called, own)))
        except UnsupportedError as error:
            self.refusals.add(name, kind, str(error))
            self.entries.append(Entry(self.names.unique(name), "Identity", tuple(inputs[:1])))
        return self.entries[-1].name

    def _add(self, name: str, kind: str, config: Mapping[str, Any], inputs: list[str], arrays: Sequence[Array]) -> None:
        cls = layers().get(kind)
        if cls is None or not cls.__module__.startswith("cnncli."):
            raise UnsupportedError("there is no such layer here")
        given = arguments(cls, config)
        if kind == "Normalization" and arrays:
            given |= {"mean": arrays[0].ravel().tolist(), "variance": arrays[1].ravel().tolist()}
            arrays = ()
        names = _weight_names(cls, given, len(arrays))
        weights = dict(zip(names, arrays, strict=True))
        if self.shape is None and not self.entries and (built := config.get("batch_input_shape")):
            self._input({"batch_shape": built})
        self.entries.append(Entry(self.names.unique(name), cls.__name__, tuple(inputs), given, weights))

    def _operation(self, layer: Mapping[str, Any], call: Any, made: Mapping[Node, str], called: Sequence[str]) -> str:
        name = "/".join((*called, str(layer.get("name", "operation"))))
        values = [made.get(tensor) if (tensor := _tensor(value)) else value for value in _arguments_of(call)]
        try:
            kind, inputs, given = operation(*_function(layer), values)
        except UnsupportedError as error:
            self.refusals.add(name, str(layer.get("class_name")), str(error))
            kind, inputs, given = "Identity", [made[tensor] for tensor in _tensors(call)][:1], {}
        self.entries.append(Entry(self.names.unique(name), kind, tuple(inputs), given))
        return self.entries[-1].name

    def _input(self, config: Mapping[str, Any]) -> None:
        """Take over the shape of the images, if it is the first input that says it."""
        if self.shape is not None:
            return
        given = config.get("batch_shape") or config.get("batch_input_shape")
        if not isinstance(given, list) or len(given) != 4:
            raise CnncliError(f"{self.path}: the input must be images, [batch, height, width, channels]")
        height, width, channels = given[1:]
        if self.size is not None:
            height, width = self.size
        if None in (height, width):
            raise CnncliError(f"{self.path}: the input has no fixed size: say one with --image-size HEIGHT,WIDTH")
        shape = height, width, channels
        if not all(type(length) is int and 0 < length <= 1 << 20 for length in shape):
            raise CnncliError(f"{self.path}: the input must be images, [batch, height, width, channels]")
        self.shape = shape


def _weight_names(cls: Any, given: Mapping[str, Any], count: int) -> Sequence[str]:
    """The names of a layer's arrays, in Keras' order."""
    names = WEIGHTS.get(cls.__name__, ())
    known = [name for name in names if given.get(SWITCHES.get(name, ""), True)]
    if len(known) != count:
        raise UnsupportedError(f"it must have {len(known)} arrays of weights; the file has {count}")
    return known


_KERNEL = ("kernel", "bias")
_SCALED = ("gamma", "beta")
WEIGHTS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("Conv2D", "Conv2DTranspose", "Dense", "DepthwiseConv2D"), _KERNEL),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "BatchNormalization": (*_SCALED, "moving_mean", "moving_variance"),
    **dict.fromkeys(("LayerNormalization", "GroupNormalization"), _SCALED),
    "RMSNormalization": ("scale",),
    "LayerScale": ("gamma",),
    "PReLU": ("alpha",),
}
"""The weights of layers in the order of Keras' files."""
SWITCHES = {"bias": "use_bias", "gamma": "scale", "beta": "center"}
"""The argument without which there is no such weight."""


def _store_names(found: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """The number of each layer, and its name in the file of weights: that of its class, with a count."""
    used = Counter[str]()
    for number, layer in enumerate(map(_object, found)):
        if _is_operation(layer):
            yield number, ""
            continue
        stem = snake_case(str(layer.get("class_name")))
        yield number, f"{stem}_{used[stem]}" if used[stem] else stem
        used[stem] += 1


def snake_case(name: str) -> str:
    """Keras' `to_snake_case`, which names layers in files: Conv2D → conv2d, ReLU → re_lu."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _first_call(name: str, layer: Mapping[str, Any], calls: Mapping[Node, Any], outputs: Sequence[Node]) -> int:
    """The number of a layer's first call: models count from 1 in Keras 2, where building them is a call."""
    if layer.get("class_name") not in MODELS:
        return 0
    count = len(_list(layer, "inbound_nodes"))
    return int((name, count) in {*outputs, *(tensor for call in calls.values() for tensor in _tensors(call))})


def _function(layer: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The name of a function of tensors, and its configuration. Keras 2: "math.multiply", "__operators__.add"."""
    config = _mapping(layer, "config")
    if layer.get("class_name") != TF_FUNCTION:
        return str(layer.get("class_name")), config
    name = str(config.get("function")).rpartition(".")[2]
    return name.title() if name in ("add", "subtract", "multiply", "divide", "truediv") else name, {}


def _is_operation(layer: Mapping[str, Any]) -> bool:
    """Whether it is a function such as `x + 3`, which Keras does not count among layers.

    A layer's configuration says whether it trains and its dtype; HDF5 files name no modules.
    """
    if layer.get("class_name") == TF_FUNCTION:
        return True
    if "module" in layer:
        return ".ops." in f"{layer['module']}."
    config = _mapping(layer, "config")
    return layer.get("class_name") not in MODELS and not {"trainable", "dtype"} & set(config)


def _ordered(calls: Mapping[Node, Any], inputs: Sequence[str]) -> Iterator[Node]:
    """The calls such that each comes after those it reads, otherwise in the file's order."""
    nodes = [*((name, 0) for name in inputs), *(node for node in calls if node[0] not in inputs)]
    numbers = {node: number for number, node in enumerate(nodes)}
    readers: dict[Node, list[Node]] = {}
    waits = Counter[Node]()
    for node in nodes:
        for source in set(_tensors(calls[node])) if node in calls else ():
            if source in numbers:
                readers.setdefault(source, []).append(node)
                waits[node] += 1
    ready = [numbers[node] for node in nodes if not waits[node]]
    heapq.heapify(ready)
    while ready:
        node = nodes[heapq.heappop(ready)]
        yield node
        for reader in readers.get(node, ()):
            waits[reader] -= 1
            if not waits[reader]:
                heapq.heappush(ready, numbers[reader])


def _arguments_of(call: Any) -> list[Any]:
    """The arguments of a call that are tensors, numbers and lists. Raises UnsupportedError for others by keyword."""
    if isinstance(call, list):
        return list(_listed(call))
    found = list(_list(_object(call), "args"))
    for key, value in _mapping(call, "kwargs").items():
        if any(_in(value)):
            found.append(value)
        elif value not in (None, False):
            raise UnsupportedError(f"a layer is called with {key}={value!r:.40}")
    return found


def _listed(call: list[Any]) -> Iterator[Any]:
    """The arguments of a call in Keras 2: [[layer, node, tensor, keywords], …], of functions the first of these alone.

    One of a number and a tensor is ["_CONSTANT_VALUE", -1, 2.0, {"y": [layer, node, tensor]}].
    """
    function = bool(call) and isinstance(call[0], str)
    for each in [call] if function else call:
        history, keywords = each[:3], each[3] if len(each) > 3 else {}
        yield each[2] if function and each[0] == "_CONSTANT_VALUE" else _keras_tensor(history)
        for key, value in keywords.items():
            if function and key in ("x", "y"):
                yield _keras_tensor(value) if isinstance(value, list) else value
            elif value not in (None, False):
                raise UnsupportedError(f"a layer is called with {key}={value!r:.40}")


def _keras_tensor(history: Any) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": history}}


def _tensors(call: Any) -> list[Node]:
    """The outputs of layers among the arguments of a call."""
    return [tensor for value in _arguments_of(call) for tensor in _in(value)]


def _is_of_tensors(value: Any) -> bool:
    """Whether a value is an output of a layer, or a list of these."""
    listed = value if isinstance(value, list) else [value]
    return bool(listed) and all(_tensor(each) is not None for each in listed)


def _in(value: Any) -> Iterator[Node]:
    """The outputs of layers in a value: itself, or those of a list."""
    for each in value if isinstance(value, list) else [value]:
        if (tensor := _tensor(each)) is not None:
            yield tensor


def _tensor(value: Any) -> Node | None:
    if not isinstance(value, Mapping) or value.get("class_name") != "__keras_tensor__":
        return None
    history = _mapping(value, "config").get("keras_history")
    if not isinstance(history, list) or len(history) < 3 or not isinstance(history[1], int) or history[2] != 0:
        raise UnsupportedError("a layer has several outputs")
    return str(history[0]), history[1]


def _ends(value: Any) -> Iterator[Node]:
    """The inputs or outputs of a model: ["name", 0, 0], or a list or mapping of these."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, list) or not value:
        raise UnsupportedError("its inputs and outputs can't be read")
    if isinstance(value[0], str):
        value = [value]
    for each in value:
        if not isinstance(each, list) or len(each) != 3 or not isinstance(each[1], int):
            raise UnsupportedError("its inputs and outputs can't be read")
        yield str(each[0]), each[1]


def _single(inputs: Sequence[str]) -> str:
    if len(inputs) != 1:
        raise UnsupportedError(f"it has {len(inputs)} inputs; {SEVERAL}")
    return inputs[0]


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UnsupportedError("its configuration is damaged")
    return value


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return _object(value.get(key, {}))


def _list(value: Mapping[str, Any], key: str) -> Sequence[Any]:
    found = value.get(key)
    if not isinstance(found, list) or len(found) > MOST_LAYERS:
        raise UnsupportedError("its configuration is damaged")
    return found
