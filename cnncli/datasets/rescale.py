"""What images are multiplied by before a model sees them."""

from cnncli.graph.model import INPUT, Model


def rescaling_layer(model: Model) -> str:
    """The type of the layer by which a model scales its images itself; empty where it does not begin with one."""
    readers = [node.layer for node in model.nodes if INPUT in node.inputs]
    return type(readers[0]).__name__ if readers and all(layer.rescales for layer in readers) else ""


def rescale_for(model: Model, rescale: float | str) -> float | str:
    """The spec's `rescale`, but 1 for "auto" where the model scales its images itself."""
    return 1.0 if rescale == "auto" and rescaling_layer(model) else rescale
