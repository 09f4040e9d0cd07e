"""The body of a network: its layers before the last one with weights, below a new last layer."""

from cnncli.errors import UsageError
from cnncli.graph.model import Model, Node, lower
from cnncli.interop.incoming.draft import Names
from cnncli.interop.incoming.text import node_lines
from cnncli.spec.yaml.writer import scalar

HEAD = "head"
DROPOUT = 0.2


def body(model: Model) -> tuple[Node, ...]:
    """The layers that the last layer with weights reads. Raises UsageError if there are none."""
    owners = [parameter.name.rpartition("/")[0] for parameter in lower(model).parameters]
    by_name = {node.name: node for node in model.nodes}
    if not owners or by_name[owners[-1]].inputs[0] not in by_name:
        raise UsageError("the network of --base must have layers before its last one with weights")
    wanted, waiting = set[str](), list(by_name[owners[-1]].inputs)
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in wanted:
            wanted.add(name)
            waiting += by_name[name].inputs
    return tuple(node for node in model.nodes if node.name in wanted)


def model_lines(model: Model, *, weights: str, freeze: bool, output: str) -> list[str]:
    """The lines under `model:`: the body, and a last layer with the arguments `output`; `weights` is the model file.

    The body is frozen, or fine-tuned: the new layer trains alone for an epoch, then all at a lower rate.
    """
    nodes = body(model)
    names = Names(node.name for node in nodes)
    image = len(lower(Model(model.input_shape, nodes)).output.shape) == 3
    head = names.unique(HEAD)
    pooled = [f"    - GlobalAveragePooling2D: {{name: {names.unique('pool')}}}"] if image else []
    return [
        f"  input_shape: {list(model.input_shape)}",
        f"  weights: {scalar(weights)}",
        f"  freeze_until: {head}" if freeze else "  fine_tune: {freeze_epochs: 1, rate_factor: 0.3}",
        "  layers:",
        *node_lines(nodes),
        *pooled,
        f"    - Dropout: {{rate: {DROPOUT}}}",
        f"    - Dense: {{name: {head}, {output.removeprefix('{')}",
    ]
