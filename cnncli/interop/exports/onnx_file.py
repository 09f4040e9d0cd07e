"""An ONNX file, of operators of opset 20: of the network alone, or with the preparation of images."""

import json

from cnncli.datasets.rescale import PerChannel, scaling
from cnncli.errors import CnncliError
from cnncli.interop.exports.exported import Exported, ExportOptions
from cnncli.interop.onnx.graph import Graph
from cnncli.interop.onnx.network import describe
from cnncli.version import __version__

LARGEST = 2**31 - 1
"""Bytes of a file without external data: more than protobuf can read."""


def export(exported: Exported, options: ExportOptions) -> bytes:
    """The file, checked by ONNX. Raises UsageError for an operation without an equivalent."""
    network = exported.inference(options, probabilities=options.preprocessing)
    graph = Graph(network, ("--format", "onnx"))
    if options.nhwc:
        graph.take_channels_last()
    if options.preprocessing:
        _prepare(graph, exported)
    description = describe(graph, channels_last=options.nhwc)
    size = sum(array.nbytes for array in network.arrays.values())
    if size > LARGEST:
        raise CnncliError(f"an ONNX file holds at most {LARGEST:,} bytes; the weights have {size:,}")
    weights = {
        name: network.arrays[name].reshape(how["view"]).transpose(how["axes"]).reshape(how["shape"])
        for name, how in description["weights"].items()
    }
    import onnx

    from cnncli.interop.onnx.proto import built

    metadata = exported.metadata() | {"preprocessing": json.dumps(options.preprocessing)}
    model = built(description, weights, metadata)
    model.producer_name, model.producer_version = "cnncli", __version__
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _prepare(graph: Graph, exported: Exported) -> None:
    """Begin with what is done to uint8 images."""
    if not isinstance(exported.rescale, PerChannel):
        graph.scale_input("uint8", *scaling(exported.rescale, "uint8"))
        return
    graph.take("uint8")
    rank = len(exported.shape)
    for operator, numbers in zip(("Mul", "Add"), exported.scale_and_offset(), strict=True):
        graph.prepare(operator, graph.of_channels(numbers, rank))
