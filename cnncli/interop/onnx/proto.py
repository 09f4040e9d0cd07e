"""From the description of a graph to ONNX' own structure. Needs the package onnx, and nothing of cnncli."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

TYPES = {"float32": onnx.TensorProto.FLOAT, "uint8": onnx.TensorProto.UINT8}


def built(description: Mapping[str, Any], weights: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> Any:
    """Build the model for any batch size; `weights`: float32 by name, with the shapes in the description."""
    constants = {
        name: np.asarray(value, np.int64 if np.asarray(value).dtype == np.int64 else np.float32)
        for name, value in description["constants"].items()
    }
    nodes = [
        onnx.helper.make_node(
            node["operator"],
            node["inputs"],
            [node["output"], *(f"{node['output']}/{number}" for number in range(node.get("unused", 0)))],
            node["output"],
            **node["attributes"],
        )
        for node in description["nodes"]
    ]
    image, output = (
        onnx.helper.make_tensor_value_info(name, TYPES[kind], ["N", *shape])
        for name, kind, shape in (
            ("input", description["input_type"], description["input_shape"]),
            (description["output"], "float32", description["output_shape"]),
        )
    )
    arrays = [onnx.numpy_helper.from_array(array, name) for name, array in {**constants, **weights}.items()]
    versions = [onnx.helper.make_opsetid("", description["opset"])]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "network", [image], [output], arrays),
        opset_imports=versions,
        ir_version=onnx.helper.find_min_ir_version_for(versions),
    )
    onnx.helper.set_model_props(model, dict(metadata or {}))
    return model
