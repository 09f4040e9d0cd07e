"""The ONNX model of a network described by `onnx.network.translate`, for the scripts of ONNX Runtime and OpenVINO."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import onnx


def drawn(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights that keep the magnitude of all layers' outputs similar: random kernels, and ones."""
    random = np.random.default_rng(0)

    def draw(shape: list[int]) -> Any:
        kernel = len(shape) > 1
        return random.standard_normal(shape) / prod(shape[1:]) ** 0.5 if kernel else np.ones(shape)

    return {name: draw(weight["shape"]).astype(np.float32) for name, weight in description["weights"].items()}


def built(description: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
    """Build the model for any batch size; `weights`: float32 by name, with the shapes in the description."""
    constants = {
        name: np.asarray(value, np.int64 if np.asarray(value).dtype == np.int64 else np.float32)
        for name, value in description["constants"].items()
    }
    nodes = [
        onnx.helper.make_node(node["operator"], node["inputs"], [node["output"]], **node["attributes"])
        for node in description["nodes"]
    ]
    types = {"float32": onnx.TensorProto.FLOAT, "uint8": onnx.TensorProto.UINT8}
    image, output = (
        onnx.helper.make_tensor_value_info(name, types[kind], ["N", *shape])
        for name, kind, shape in (
            ("input", description["input_type"], description["input_shape"]),
            (description["output"], "float32", description["output_shape"]),
        )
    )
    arrays = [onnx.numpy_helper.from_array(array, name) for name, array in {**constants, **weights}.items()]
    versions = [onnx.helper.make_opsetid("", description["opset"])]
    return onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "network", [image], [output], arrays),
        opset_imports=versions,
        ir_version=onnx.helper.find_min_ir_version_for(versions),
    )
