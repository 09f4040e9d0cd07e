"""Keras' serialized objects → plain data of our vocabulary, which has its names and arguments."""

from collections.abc import Mapping
from typing import Any

from cnncli.interop.incoming.draft import UnsupportedError
from cnncli.interop.keras.keras2 import renewed
from cnncli.layers.activation_functions import ACTIVATIONS
from cnncli.layers.constraints import CONSTRAINTS
from cnncli.layers.declarations.declaration import Registry
from cnncli.layers.initializers import INITIALIZERS
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.regularizers import REGULARIZERS
from cnncli.training.metrics.vocabulary import METRICS
from cnncli.training.optimizers.optimizers import OPTIMIZERS
from cnncli.training.optimizers.schedules import SCHEDULES

REGISTRIES: Mapping[str, Registry[Any]] = {
    "schedules": SCHEDULES,
    "optimizers": OPTIMIZERS,
    "losses": LOSSES,
    "metrics": METRICS,
    "initializers": INITIALIZERS,
    "regularizers": REGULARIZERS,
    "constraints": CONSTRAINTS,
    "activations": ACTIVATIONS,
    "layers": LAYERS,
}
"""By a word of the module of a class."""
FLOATS = ("float32", "mixed_float16", "mixed_bfloat16")
"""Policies whose weights are float32."""
NOT_ARGUMENTS = ("name", "dtype", "seed", "batch_input_shape", "batch_shape", "build_input_shape")
CODE = ("__lambda__", "Lambda")


def is_own(value: Mapping[str, Any]) -> bool:
    """Whether a serialized object is Keras' own; anything else is code that a spec can't hold."""
    module, name = value.get("module"), value.get("registered_name")
    return isinstance(module, str) and module.split(".")[0] == "keras" and not (isinstance(name, str) and ">" in name)


def class_of(value: Mapping[str, Any]) -> str:
    """The class of a serialized object. Raises UnsupportedError for code and for custom objects."""
    name = value.get("class_name")
    if name in CODE:
        raise UnsupportedError("it runs Python code, which a spec never does")
    if not isinstance(name, str):
        raise UnsupportedError("it has no class")
    if "module" in value and not is_own(value):
        raise UnsupportedError(f"{name} is a custom object, whose code is not in the file")
    return name


def arguments(cls: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a declaration. What it does not know is left out where it is null or false."""
    if not isinstance(config, Mapping):
        raise UnsupportedError("its config is not an object")
    known = cls.kinds()
    return {
        key: plain(value)
        for key, value in renewed(cls.__name__, config).items()
        if key not in NOT_ARGUMENTS and (key in known or value not in (None, False))
    }


def plain(value: Any) -> Any:
    """A value of a configuration: serialized objects as {Class: arguments}. Raises UnsupportedError."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "class_name" not in value:
        return {str(key): plain(item) for key, item in value.items()}
    name, config = class_of(value) if value["class_name"] != "__numpy__" else "__numpy__", value.get("config")
    if name == "__numpy__" and isinstance(config, Mapping):
        return config.get("value")
    if name == "function":
        return config
    registries = [_registry(str(value["module"]))] if "module" in value else [*REGISTRIES.values()]  # Keras 2 has none
    cls = next((found for one in registries if one is not None and (found := one.find(name)) is not None), None)
    if cls is None:
        raise UnsupportedError(f"{name} is not supported")
    return {cls.__name__: arguments(cls, config or {})}


def check_dtype(value: Any) -> None:
    """Raise UnsupportedError for weights that are not float32."""
    name = value
    if isinstance(value, Mapping):
        config = value.get("config")
        name = config.get("name") if isinstance(config, Mapping) else value.get("class_name")
    if name is not None and name not in FLOATS:
        raise UnsupportedError(f"its dtype is {name}; layers compute in float32")


def _registry(module: str) -> Registry[Any] | None:
    words = module.split(".")
    return next((registry for word, registry in REGISTRIES.items() if word in words), None)
