"""A .keras archive: a compiled Functional model with weights and, of a checkpoint, the optimizer's state.

The layout is that of keras/src/saving/saving_lib.py: a zip file of config.json, metadata.json and model.weights.h5.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from cnncli.graph.model import INPUT, Node, lower
from cnncli.interop.exports.exported import Exported, ExportOptions
from cnncli.interop.keras.functional import group_names, layer_order
from cnncli.interop.keras.network import configured, configured_loss, configured_optimizer
from cnncli.interop.refusal import NoCounterpart, no_counterpart
from cnncli.notices import warn
from cnncli.ops.ir import Shape
from cnncli.training.optimizers.optimizers import Nadam
from cnncli.training.optimizers.schedules import EPOCHS, Schedule, updates

Array = np.ndarray[Any, Any]
Config = dict[str, Any]
PLACES = {
    "initializer": "keras.initializers",
    "regularizer": "keras.regularizers",
    "constraint": "keras.constraints",
    "learning_rate": "keras.optimizers.schedules",
}
"""The module of a declaration that is an argument, by the end of the argument's name."""
MOMENTS = (("momentum", "velocity"), ("velocity_hat",))
SLOTS = {
    **dict.fromkeys(("Adam", "AdamW", "Lamb", "Nadam"), MOMENTS),
    "Adadelta": (("accumulated_grad", "accumulated_delta_var"),),
    "Adagrad": (("accumulator",),),
    "Adamax": (("momentum", "norm"),),
    "Ftrl": (("accumulator", "linear"),),
    "Lion": (("momentum",),),
    "RMSprop": (("velocity",), ("momentum",), ("average_gradient",)),
    "SGD": (("momentum",),),
}
"""By optimizer: the variables that Keras creates, in its order; those of a group are created weight by weight."""
ONLY_HERE = ("CalibrationError", "CohenKappa", "Dice", "MatthewsCorrelation")
"""Metrics that Keras does not have."""
OF_ROWS = (
    *("AUC", "BinaryCrossentropy", "CategoricalAccuracy", "CategoricalCrossentropy", "F1Score", "FBetaScore"),
    *("FalseNegatives", "FalsePositives", "Precision", "PrecisionAtRecall", "Recall", "RecallAtPrecision"),
    *("SensitivityAtSpecificity", "SpecificityAtSensitivity", "TopKCategoricalAccuracy", "TrueNegatives"),
    "TruePositives",
)
"""Metrics of rows as long as the output, which numbers of classes are not."""
BEFORE_SLOTS = (("average",), ("accumulated_gradient",))
"""Those of any optimizer, which come first."""


def export(exported: Exported, options: ExportOptions) -> bytes:
    """The archive. Raises UsageError for a layer that Keras does not have."""
    del options
    order = layer_order(exported.spec.model)
    nodes = {node.name: node for node in exported.spec.model.nodes}
    try:
        network = _Network(exported, [nodes.get(name) for name in order])
    except NoCounterpart as error:
        raise no_counterpart("keras", error.what, "--format") from None
    parts = {
        "metadata.json": json.dumps({"keras_version": "3.0.0", **exported.metadata()}).encode(),
        "config.json": json.dumps(network.config()).encode(),
        "model.weights.h5": network.weights(),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, part in parts.items():
            archive.writestr(zipfile.ZipInfo(name), part)  # the date is fixed: equal models make equal files
    return content.getvalue()


class _Network:
    """A model with its layers in Keras' order, None being the input. `names`: those of layers in Keras."""

    def __init__(self, exported: Exported, layers: Sequence[Node | None]) -> None:
        self.exported, self.layers = exported, layers
        lowered = lower(exported.spec.model)
        self.shapes = {name: value.shape for name, value in lowered.outputs.items()}
        self.parameters = {
            node.name: [p for p in lowered.parameters if p.name.rpartition("/")[0] == node.name]
            for node in layers
            if node is not None
        }
        self.names = _names([INPUT, *(node.name for node in layers if node is not None)])
        self.declared = [_input(self.shapes[INPUT]) if node is None else self._layer(node) for node in layers]
        self.compiled = self._compiled()

    def config(self) -> Config:
        """The configuration of the model."""
        output = self.names[self.exported.spec.model.nodes[-1].name]
        return {
            "module": "keras.src.models.functional",  # as Keras itself writes it
            "class_name": "Functional",
            "registered_name": "Functional",
            "config": {
                "name": "".join(c if c.isalnum() else "_" for c in self.exported.spec.name) or "model",
                "trainable": True,
                "layers": self.declared,
                "input_layers": [self.names[INPUT], 0, 0],
                "output_layers": [output, 0, 0],
            },
            "build_config": {"input_shape": None},
            **({} if self.compiled is None else {"compile_config": self.compiled}),
        }

    def weights(self) -> bytes:
        """The file of weights: a group for each layer, with its weights in order, and one for the optimizer."""
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            groups = group_names([declared["class_name"] for declared in self.declared])
            for group, node in zip(groups, self.layers, strict=True):
                own = [] if node is None else self.parameters[node.name]
                name = self.names[INPUT if node is None else node.name]
                _store(file, f"layers/{group}/vars", name, [self.exported.weights[p.name] for p in own])
            if self.compiled is not None:
                _store(file, "optimizer/vars", "optimizer", list(self._state()))
            file.create_group("vars")
        return content.getvalue()

    def _layer(self, node: Node) -> Config:
        tensors = [
            {
                "class_name": "__keras_tensor__",
                "config": {
                    "shape": _batched(self.shapes[name]),
                    "dtype": "float32",
                    "keras_history": [self.names[name], 0, 0],
                },
            }
            for name in node.inputs
        ]
        several = node.layer.arity != (1, 1)
        shapes = [_batched(self.shapes[name]) for name in node.inputs]
        declared = _placed(configured(node.layer, f"{node.name} (", ")"), "keras.layers")
        name = self.names[node.name]
        return {
            **declared,
            "config": {"name": name, "dtype": "float32", **declared["config"]},
            "build_config": {"input_shape": shapes if several else shapes[0]},
            "name": name,
            "inbound_nodes": [{"args": [tensors] if several else tensors, "kwargs": {}}],
        }

    def _compiled(self) -> Config | None:
        """Optimizer, loss and metrics; None where Keras does not have them, which a warning tells."""
        compiled = self.exported.spec.compile
        try:
            loss = _placed(configured_loss(compiled.loss), "keras.losses")
            optimizer = _placed(configured_optimizer(self._optimizer()), "keras.optimizers")
        except NoCounterpart as error:
            warn(f"the Keras model is not compiled: Keras knows no counterpart of {error.what}")
            return None
        return {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": None,
            "metrics": list(self._metrics()) or None,
            "weighted_metrics": None,
            "run_eagerly": False,
            "steps_per_execution": 1,
            "jit_compile": "auto",
        }

    def _metrics(self) -> Iterator[Any]:
        """The metrics that Keras computes of the targets that the loss takes; a warning tells the others."""
        compiled, classes = self.exported.spec.compile, self.shapes[self.exported.spec.model.nodes[-1].name][-1]
        sparse = type(compiled.loss).__name__.startswith("Sparse")
        for metric in compiled.metrics:
            name = type(metric).__name__
            if name == "Accuracy":
                yield "accuracy"
            elif name in ONLY_HERE or (name in OF_ROWS and sparse) or (name.startswith("Sparse") and not sparse):
                warn(f"the Keras model has no metric {name}, which Keras does not compute of the loss' targets")
            else:
                form = {"num_classes": classes, "sparse_y_true": sparse, "sparse_y_pred": False}
                given = {key: value for key, value in metric.plain().items() if value is not None}
                more = form if name in ("IoU", "MeanIoU") else {}
                yield _configuration("keras.metrics", name, {**given, **more})

    def _optimizer(self) -> Any:
        """The optimizer with a schedule in batches, and with what callbacks made of its rate."""
        optimizer, progress = self.exported.spec.compile.optimizer, self.exported.progress
        rate = optimizer.learning_rate
        if not isinstance(rate, Schedule):
            return optimizer.replace(learning_rate=rate * (progress.rate_factor if progress else 1.0))
        settings, batches = rate.settings(), self._batches()
        changes = {name: _in_batches(value, batches or 1) for name, value in settings.items()}
        if batches is None and changes != settings:
            start = optimizer.rate(0, 1)
            warn(
                f"the learning rate of the Keras model is {start:g}: its schedule counts epochs, and only the last "
                "weights of a run know how many batches these have (--weights last)"
            )
            return optimizer.replace(learning_rate=start)
        return optimizer.replace(learning_rate=rate.replace(**changes))

    def _batches(self) -> int | None:
        """The batches of an epoch; None if it is not known."""
        progress, first = self.exported.progress, self.exported.spec.fit.initial_epoch
        if progress is None or progress.batch or progress.epoch <= first:
            return None
        return progress.step // progress.epoch

    def _state(self) -> Iterator[Array]:
        """The variables of the optimizer: batches, learning rate, and arrays of the weights' size; new ones if the
        model file has none.
        """
        assert self.compiled is not None
        progress, slots = self.exported.progress, self.exported.slots
        optimizer = self.exported.spec.compile.optimizer
        yield np.array(progress.step if progress else 0, np.int64)
        rate = self.compiled["optimizer"]["config"]["learning_rate"]
        if not isinstance(rate, dict):
            yield np.array(rate, np.float32)
        trained = [p for own in self.parameters.values() for p in own if p.weight.trainable]
        starts = {
            **({"average": 0.0} if optimizer.use_ema else {}),
            **({"accumulated_gradient": 0.0} if optimizer.gradient_accumulation_steps else {}),
            **optimizer.slots,
        }
        for group in (*BEFORE_SLOTS, *SLOTS[type(optimizer).__name__]):
            if starts.keys() >= set(group):
                for parameter in trained:
                    for slot in group:
                        new = np.full(parameter.weight.shape, starts[slot], np.float32)
                        yield slots.get(f"{slot}/{parameter.name}", new)
        if isinstance(optimizer, Nadam):
            done = (progress.step if progress else 0) // (optimizer.gradient_accumulation_steps or 1)
            yield np.array(optimizer.product(done), np.float32)


def _in_batches(value: Any, batches: int) -> Any:
    """A number of epochs, or a list of them, in batches; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(_in_batches(item, batches) for item in value)
    return updates(value, batches) if isinstance(value, str) and EPOCHS.fullmatch(value) else value


def _store(file: Any, place: str, name: str, arrays: Sequence[Array]) -> None:
    group = file.create_group(place)
    group.attrs["name"] = name
    for number, array in enumerate(arrays):
        group.create_dataset(str(number), data=array)


def _names(names: Sequence[str]) -> dict[str, str]:
    """Names without slashes, which Keras does not take."""
    found: dict[str, str] = {}
    for name in names:
        plain, number = name.replace("/", "."), 1
        while plain in found.values():
            number += 1
            plain = f"{name.replace('/', '.')}_{number}"
        found[name] = plain
    return found


def _input(shape: Shape) -> Config:
    config = {"batch_shape": _batched(shape), "dtype": "float32", "sparse": False, "name": INPUT}
    return _configuration("keras.layers", "InputLayer", config) | {"name": INPUT, "inbound_nodes": []}


def _placed(declared: Mapping[str, Any], module: str) -> Config:
    """A configuration with its module, also those of its arguments."""
    config = {
        key: _placed(value, next(place for end, place in PLACES.items() if key.endswith(end)))
        if isinstance(value, dict) and "class_name" in value
        else value
        for key, value in declared["config"].items()
        if key != "name" or value is not None
    }
    return _configuration(module, declared["class_name"], config)


def _configuration(module: str, name: str, config: Config) -> Config:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def _batched(shape: Shape) -> list[int | None]:
    return [None, *shape]
