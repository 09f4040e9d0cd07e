"""Configurations that Keras 2 has written, as Keras 3 writes them."""

from collections.abc import Mapping
from typing import Any

_KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
WITHOUT_EFFECT = {
    "SeparableConv2D": ("groups", *_KERNEL),
    "DepthwiseConv2D": ("groups", *_KERNEL),
}
"""Arguments that layers had from their base class only."""
RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}}


def renewed(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a layer, a loss, … of the class `name`."""
    names, left_out = RENAMED.get(name, {}), WITHOUT_EFFECT.get(name, ())
    found = {str(names.get(key, key)): value for key, value in config.items() if key not in left_out}
    axis = found.get("axis")
    if name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        found["axis"] = axis[0]
    if found.get("reduction") == "auto":  # of losses: what Keras 3 calls by its name, sum_over_batch_size
        del found["reduction"]
        found.pop("fn", None)
    return found


def compiled(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the model of an HDF5 file was compiled with. Metrics are in lists by output."""
    optimizer, metrics = config.get("optimizer_config", config.get("optimizer")), config.get("metrics")
    if isinstance(optimizer, Mapping):
        optimizer = {**optimizer, "class_name": str(optimizer.get("class_name")).removeprefix("Custom>")}
    return {**config, "optimizer": optimizer, "metrics": _named(metrics)}


def _named(metric: Any) -> Any:
    """Functions as metrics, by the names that they were given by."""
    if isinstance(metric, list):
        return [_named(each) for each in metric]
    config = metric.get("config") if isinstance(metric, Mapping) else None
    if isinstance(config, Mapping) and metric.get("class_name") == "MeanMetricWrapper":
        return config.get("name")
    return metric
