"""The order of layers in a Functional model of Keras, by which files of weights address them.

Layers are ordered by their depth, the longest way to the output, and those of one depth in the order in which a
depth-first search from the output meets them (keras/src/ops/function.py, map_graph).
"""

import re
from collections import Counter
from collections.abc import Sequence

from cnncli.graph.model import INPUT, Model


def layer_order(model: Model) -> list[str]:
    """Return the names of the nodes that the output depends on, INPUT among them, in Keras' order."""
    parents = {node.name: node.inputs for node in model.nodes} | {INPUT: ()}
    met, finished = _searched(parents, model.nodes[-1].name)
    depths = dict.fromkeys(finished, 0)
    for name in reversed(finished):
        for parent in parents[name]:
            depths[parent] = max(depths[parent], depths[name] + 1)
    return sorted(finished, key=lambda name: (-depths[name], met.index(name)))


def _searched(parents: dict[str, tuple[str, ...]], output: str) -> tuple[list[str], list[str]]:
    """Names in the order in which the search meets them, and in which it has finished with them."""
    met, finished = [output], []
    stack = [(output, iter(parents[output]))]
    while stack:
        name, left = stack[-1]
        following = next(left, None)
        if following is None:
            finished.append(name)
            stack.pop()
        elif following not in met:
            met.append(following)
            stack.append((following, iter(parents[following])))
    return met, finished


def group_names(classes: Sequence[str]) -> list[str]:
    """Return the name of each layer's group in a file of weights, from the classes of the layers in Keras' order."""
    found, used = [], Counter[str]()
    for name in map(_snake_case, classes):
        found.append(f"{name}_{used[name]}" if used[name] else name)
        used[name] += 1
    return found


def _snake_case(name: str) -> str:
    """As keras/src/utils/naming.py: SeparableConv2D becomes separable_conv2d."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
